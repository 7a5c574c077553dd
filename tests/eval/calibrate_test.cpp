#include "pace/eval/calibrate.h"
#include "pace/data/picture_loader.h"

#include <gtest/gtest.h>

#include "tests/eval/tiny.h"

namespace pace {
namespace {

class Calibrated : public ::testing::Test {
 protected:
  static PictureLoader loader() {
    return PictureLoader(std::make_shared<tiny::Pictures>(60), tiny::processor(), {.batch = 16});
  }

  static void SetUpTestSuite() {
    model_ = new LoadedModel(tiny::adaptive());
    const LoadedModel dense = tiny::dense();
    PictureLoader held_out = loader();
    model_->calibration = calibrate(*model_, dense, held_out, quiet());
    dense_accuracy_ = score(dense, held_out, 1.0, 0.0).accuracy;
  }
  static void TearDownTestSuite() { delete model_; }

  static inline LoadedModel* model_ = nullptr;
  static inline double dense_accuracy_ = 0.0;
};

TEST_F(Calibrated, CurveRisesAndReachesBothEnds) {
  const std::vector<CalibrationPoint>& curve = model_->calibration.curve;
  ASSERT_GE(curve.size(), 6u);
  for (size_t i = 1; i < curve.size(); ++i) EXPECT_GT(curve[i].budget, curve[i - 1].budget);
  EXPECT_DOUBLE_EQ(curve.back().budget, 1.0);
  EXPECT_LT(curve.front().budget, 0.4);
  EXPECT_DOUBLE_EQ(model_->calibration.dense_metric, dense_accuracy_);
}

TEST_F(Calibrated, PointsHoldWhatIsMeasuredThere) {
  PictureLoader held_out = loader();
  for (const CalibrationPoint& point : model_->calibration.curve) {
    const Score measured = score(*model_, held_out, point.budget, point.price);
    EXPECT_DOUBLE_EQ(measured.accuracy, point.metric);
    EXPECT_NEAR(measured.macs_fraction, point.macs_fraction, 1e-9);
    EXPECT_NEAR(point.macs_fraction, point.budget, 0.01) << "budget " << point.budget;
  }
}

TEST_F(Calibrated, AnyBudgetIsMetWithinTwoPoints) {
  PictureLoader held_out = loader();
  const double least = model_->calibration.curve.front().budget;
  for (double budget = least; budget < 1.0; budget += 0.023) {
    const double price = model_->calibration.price(budget);
    EXPECT_NEAR(score(*model_, held_out, budget, price).macs_fraction, budget, 0.02);
  }
}

TEST(Calibrate, RefusesADenseModel) {
  const LoadedModel dense = tiny::dense();
  PictureLoader held_out(std::make_shared<tiny::Pictures>(8), tiny::processor(), {.batch = 8});
  EXPECT_THROW(calibrate(dense, dense, held_out, quiet()), Error);
}

}  // namespace
}  // namespace pace
