#pragma once

#include <string>
#include <vector>

#include "pace/adaptive/calibration.h"

namespace pace::cli {

/// Rows under a header, columns as wide as they need to be: the first to the left, the others to
/// the right.
std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows);

/// The accuracy-compute curve of an adaptive model.
std::string curve_table(const Calibration& calibration);

/// "0.9571" -> "95.71 %"; a dash for NaN.
std::string percent(double share);
/// "1.38 G", "12.5 M": three digits and the unit's prefix.
std::string with_prefix(double value);
/// "2.31 ms", "45 us".
std::string duration(double seconds);

}  // namespace pace::cli
