#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pace/base/files.h"

namespace pace {

/// One tensor as the header of a safetensors file describes it. Offsets are relative to the data
/// part.
struct TensorInfo {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  ///< in file order of their data
  std::map<std::string, std::string> metadata;
  uint64_t data_offset = 0;  ///< from the beginning of the file
};

/// Parses and validates the header of a safetensors file whose first bytes are `bytes` (at least
/// the whole header) and whose full length is `file_size`. Throws Error naming `where` and the
/// field that is wrong: header length, JSON, unknown dtype, negative or overflowing shape, offsets
/// outside the file, overlap or holes, shape x dtype != span, duplicate names.
SafetensorsHeader parse_safetensors_header(std::string_view bytes, uint64_t file_size,
                                           const std::string& where);

/// A memory-mapped safetensors file; tensors are views into the map and keep it alive. Treat them
/// as read-only: clone before changing.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);

  const SafetensorsHeader& header() const { return header_; }
  bool contains(const std::string& name) const;
  /// Throws Error naming file and tensor when there is none of that name.
  at::Tensor tensor(const std::string& name) const;

 private:
  fs::path path_;
  SafetensorsHeader header_;
  std::map<std::string, size_t> index_;
  std::shared_ptr<const class MappedFile> map_;
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Writes atomically. Tensors are made contiguous and moved to the CPU; names must be unique.
void write_safetensors(const fs::path& target, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace pace
