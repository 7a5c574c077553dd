#pragma once

#include <cstdint>
#include <string_view>

#include "pace/base/files.h"

namespace pace {

/// A whole file mapped into memory for reading.
class MappedFile {
 public:
  /// Throws Error naming the path when it cannot be opened or is not a regular file.
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace pace
