#include "pace/adaptive/calibration.h"

#include <gtest/gtest.h>

#include "tests/error_of.h"

namespace pace {
namespace {

Calibration sample() {
  Calibration calibration;
  calibration.dense_metric = 0.95;
  calibration.curve = {{0.25, 3.0, 0.251, 0.90}, {0.5, 1.0, 0.499, 0.945}, {1.0, -1.0, 1.0, 0.951}};
  return calibration;
}

TEST(Calibration, InterpolatesPrices) {
  EXPECT_DOUBLE_EQ(sample().price(0.5), 1.0);
  EXPECT_DOUBLE_EQ(sample().price(0.375), 2.0);
  EXPECT_DOUBLE_EQ(sample().price(0.75), 0.0);
  EXPECT_DOUBLE_EQ(sample().price(1.0), -1.0);
}

TEST(Calibration, SaysWhatTheLeastBudgetIs) {
  EXPECT_EQ(error_of([] { sample().price(0.1); }),
            "budget 0.1 is below what this model can run: its cheapest calibrated point is 0.250");
}

TEST(Calibration, FindsTheCheapestPointThatKeepsTheMetric) {
  EXPECT_DOUBLE_EQ(sample().cheapest(0.01), 0.5);
  EXPECT_DOUBLE_EQ(sample().cheapest(0.06), 0.25);
  EXPECT_DOUBLE_EQ(sample().cheapest(0.0), 1.0);
  Calibration worse = sample();
  worse.curve.pop_back();
  EXPECT_NE(error_of([&] { worse.cheapest(0.001); }), "(no error)");
}

TEST(Calibration, SurvivesJson) {
  const Calibration again = Calibration::from_json(sample().to_json(), "test");
  EXPECT_EQ(again.to_json(), sample().to_json());
}

TEST(Calibration, RefusesBrokenCurves) {
  nlohmann::json object = sample().to_json();
  std::swap(object["curve"][0], object["curve"][1]);
  EXPECT_EQ(error_of([&] { Calibration::from_json(object, "config.json"); }),
            "config.json: budgets of \"curve\" must be positive and rise; 0.25 does not");
  object["curve"] = nlohmann::json::array();
  EXPECT_NE(error_of([&] { Calibration::from_json(object, "config.json"); }), "(no error)");
}

}  // namespace
}  // namespace pace
