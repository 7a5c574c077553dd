#include "pace/adaptive/calibration.h"

#include <algorithm>
#include <cmath>

#include "pace/base/error.h"
#include "pace/io/model_folder.h"

namespace pace {

double Calibration::price(double budget) const {
  // Half a point of slack lets a user type the rounded figure of the cheapest point.
  if (budget < curve.front().budget - 0.005) {
    fail("budget {:g} is below what this model can run: its cheapest calibrated point is {:.3f}",
         budget, curve.front().budget);
  }
  if (budget <= curve.front().budget) return curve.front().price;
  for (size_t i = 1; i < curve.size(); ++i) {
    const CalibrationPoint &low = curve[i - 1], &high = curve[i];
    if (budget > high.budget) continue;
    const double t = (budget - low.budget) / (high.budget - low.budget);
    return low.price + t * (high.price - low.price);
  }
  return curve.back().price;
}

double Calibration::cheapest(double drop) const {
  double best_drop = std::numeric_limits<double>::infinity();
  for (const CalibrationPoint& point : curve) {
    if (dense_metric - point.metric <= drop) return point.budget;
    best_drop = std::min(best_drop, dense_metric - point.metric);
  }
  fail(
      "no calibrated budget keeps {} within {:g} of the dense model's {:.4f}: the smallest drop is "
      "{:.4f}",
      metric, drop, dense_metric, best_drop);
}

nlohmann::json Calibration::to_json() const {
  nlohmann::json points = nlohmann::json::array();
  for (const CalibrationPoint& point : curve) {
    points.push_back({{"budget", point.budget},
                      {"price", point.price},
                      {"macs_fraction", point.macs_fraction},
                      {metric, point.metric}});
  }
  return {{"metric", metric}, {"dense", dense_metric}, {"curve", points}};
}

Calibration Calibration::from_json(const nlohmann::json& object, const std::string& where) {
  Calibration calibration;
  calibration.metric = string_field(object, "metric", where);
  calibration.dense_metric = number_field(object, "dense", where);
  if (!object.contains("curve") || !object["curve"].is_array() || object["curve"].empty()) {
    fail("{}: field \"curve\" must be a list of at least one point", where);
  }
  for (const nlohmann::json& entry : object["curve"]) {
    const CalibrationPoint point{number_field(entry, "budget", where),
                                 number_field(entry, "price", where),
                                 number_field(entry, "macs_fraction", where),
                                 number_field(entry, calibration.metric, where)};
    const bool rising = calibration.curve.empty() || point.budget > calibration.curve.back().budget;
    if (!rising || !(point.budget > 0)) {
      fail("{}: budgets of \"curve\" must be positive and rise; {} does not", where, point.budget);
    }
    calibration.curve.push_back(point);
  }
  return calibration;
}

}  // namespace pace
