#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "pace/base/files.h"

namespace pace {

using nlohmann::json;

/// What happened since the last line of metrics.jsonl. It is stored in checkpoints, so that a
/// resumed run writes the same means.
class Interval {
 public:
  void add(const std::map<std::string, double>& figures, int64_t images, double seconds);
  bool empty() const { return images_ == 0; }
  /// Mean of each figure, and "images_per_second".
  std::map<std::string, double> means() const;

  json to_json() const;
  static Interval from_json(const json& object);

 private:
  int64_t images_ = 0;
  double seconds_ = 0.0;
  std::map<std::string, std::pair<double, int64_t>> sums_;  ///< of each figure, and of how many
};

/// A file of JSON lines that grows. A kill leaves at most its last line incomplete.
class MetricsFile {
 public:
  /// Keeps those lines already there that are whole and that `keep` wants, and appends to them.
  MetricsFile(fs::path path, const std::function<bool(const json& line)>& keep);

  /// Throws Error with path and reason when the line cannot be written.
  void write(const json& line);

 private:
  fs::path path_;
};

}  // namespace pace
