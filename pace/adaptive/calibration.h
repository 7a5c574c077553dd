#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace pace {

/// One measured setting of an adaptive model on held-out data.
struct CalibrationPoint {
  double budget = 1.0;         ///< told to the gates
  double price = 0.0;          ///< at which the mean MACs met the budget
  double macs_fraction = 1.0;  ///< measured
  double metric = 0.0;         ///< accuracy in [0, 1]
};

/// The accuracy-compute curve of an adaptive model, and the settings that give each of its points.
struct Calibration {
  std::string metric = "accuracy";
  double dense_metric = 0.0;            ///< of the dense original on the same data
  std::vector<CalibrationPoint> curve;  ///< by rising budget

  bool empty() const { return curve.empty(); }
  /// The price for a budget, interpolated between the two nearest points. Below the cheapest point
  /// throws Error that says what the least budget is; above the dearest uses that one.
  double price(double budget) const;
  /// The cheapest budget on the curve whose metric is at most `drop` (absolute) below the dense
  /// one. Throws Error when no point keeps it, with the smallest drop there is.
  double cheapest(double drop) const;

  nlohmann::json to_json() const;
  static Calibration from_json(const nlohmann::json& object, const std::string& where);
};

}  // namespace pace
