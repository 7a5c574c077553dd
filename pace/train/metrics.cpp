#include "pace/train/metrics.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "pace/base/error.h"

namespace pace {

void Interval::add(const std::map<std::string, double>& figures, int64_t images, double seconds) {
  images_ += images;
  seconds_ += seconds;
  for (const auto& [name, value] : figures) {
    sums_[name].first += value;
    sums_[name].second += 1;
  }
}

std::map<std::string, double> Interval::means() const {
  std::map<std::string, double> means;
  for (const auto& [name, sum] : sums_) {
    means[name] = sum.first / static_cast<double>(sum.second);
  }
  means["images_per_second"] = static_cast<double>(images_) / std::max(seconds_, 1e-9);
  return means;
}

json Interval::to_json() const {
  return {{"images", images_}, {"seconds", seconds_}, {"sums", sums_}};
}

Interval Interval::from_json(const json& object) {
  Interval interval;
  object.at("images").get_to(interval.images_);
  object.at("seconds").get_to(interval.seconds_);
  object.at("sums").get_to(interval.sums_);
  return interval;
}

MetricsFile::MetricsFile(fs::path path, const std::function<bool(const json& line)>& keep)
    : path_(std::move(path)) {
  std::string kept;
  if (fs::exists(path_)) {
    std::istringstream lines(read_text(path_));
    for (std::string line; std::getline(lines, line);) {
      const json parsed = json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (parsed.is_object() && keep(parsed)) kept += line + '\n';
    }
  }
  write_text(path_, kept);
}

void MetricsFile::write(const json& line) {
  std::ofstream file(path_, std::ios::app);
  file << line.dump() + '\n' << std::flush;
  if (!file) fail("cannot append to {}: {}", path_.string(), std::strerror(errno));
}

}  // namespace pace
