#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pace/base/files.h"

namespace pace {

/// The fields of one line of a table, and where it stands in the file.
struct Line {
  std::vector<std::string> fields;
  int64_t number = 0;  ///< from 1

  /// Throws Error unless there are so many fields, all UTF-8.
  void check(size_t count, const std::string& path) const;
  [[noreturn]] void refuse(std::string_view what, const std::string& path) const;
};

/// Reads a table line by line: fields between separators, taken as they are, or where `quotes` are
/// understood with double quotes around them, doubled within.
class Table {
 public:
  Table(const fs::path& path, char separator, bool quotes);

  const std::string& path() const { return path_; }
  /// Nothing at the end.
  std::optional<Line> next();

 private:
  std::string plain();
  std::string quoted(int64_t number);
  void end_line(const Line& line);

  std::string path_, text_;
  char separator_;
  bool quotes_;
  size_t at_ = 0;
  int64_t number_ = 1;
};

/// Whether there is nothing but space in a text.
bool blank(std::string_view text);

}  // namespace pace
