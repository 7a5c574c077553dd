#include "pace/cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace pace::cli {

std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> width;
  for (const std::string& name : header) width.push_back(name.size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string table;
  const auto add = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); ++i) {
      table += i == 0 ? fmt::format("{:<{}}", row[i], width[i])
                      : fmt::format("  {:>{}}", row[i], width[i]);
    }
    table += '\n';
  };
  add(header);
  for (const auto& row : rows) add(row);
  return table;
}

std::string curve_table(const Calibration& calibration) {
  std::vector<std::vector<std::string>> rows;
  for (const CalibrationPoint& point : calibration.curve) {
    rows.push_back({percent(point.budget), percent(point.macs_fraction), percent(point.metric)});
  }
  return format_table({"budget", "operations", calibration.metric}, rows);
}

std::string percent(double share) {
  return std::isnan(share) ? "-" : fmt::format("{:.2f} %", share * 100);
}

std::string with_prefix(double value) {
  constexpr std::array<const char*, 5> kPrefixes{"", "k", "M", "G", "T"};
  size_t prefix = 0;
  while (std::abs(value) >= 1000 && prefix + 1 < kPrefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  return fmt::format("{:.3g} {}", value, kPrefixes[prefix]);
}

std::string duration(double seconds) {
  if (std::isnan(seconds)) return "-";
  if (seconds >= 1) return fmt::format("{:.3g} s", seconds);
  if (seconds >= 1e-3) return fmt::format("{:.3g} ms", seconds * 1e3);
  return fmt::format("{:.3g} us", seconds * 1e6);
}

}  // namespace pace::cli
