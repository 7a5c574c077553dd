#include "pace/eval/calibrate.h"

#include <gtest/gtest.h>

#include "pace/data/picture_loader.h"
#include "tests/eval/tiny.h"
#include "tests/models/small_resnet.h"

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

/// Pictures whose labels are what a model answers at some price.
class Answered : public PictureLoader {
 public:
  Answered(const LoadedModel& model, double price)
      : PictureLoader(std::make_shared<tiny::Pictures>(60), tiny::processor(), {.batch = 16}),
        model_(model),
        price_(price) {}

  std::optional<Batch> next() override {
    std::optional<Batch> batch = PictureLoader::next();
    if (batch) batch->labels = logits(batch->inputs).argmax(1);
    return batch;
  }
  /// Takes from the model's bias what its answers have in common, so that they differ.
  void tell_apart() {
    start(0);
    const at::NoGradGuard no_grad;
    const Tensor common = logits(PictureLoader::next()->inputs).mean(0);
    model_.model->parameters().at("linear.bias").sub_(common);
  }

 private:
  Tensor logits(const Tensor& inputs) const {
    const at::NoGradGuard no_grad;
    Pass pass;
    pass.form = Form::kExecuted;
    pass.price = price_;
    return model_.model->forward(inputs, pass);
  }

  const LoadedModel& model_;
  double price_;
};

TEST(Calibrate, LeavesOutWhatIsDearerAndWorseInAHaltingNetwork) {
  const LoadedModel dense = testing_models::small_resnet();
  LoadedModel model = build_halting(dense, {HaltingMethod::kSpatialPact}, 3);
  {
    const at::NoGradGuard no_grad;
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(12);
    for (const auto& [name, tensor] : model.model->parameters().all()) {
      if (name.starts_with("halting.")) tensor.copy_(at::randn(tensor.sizes(), generator) * 0.5);
    }
  }
  constexpr double kNever = -1e6, kTrained = 0.0;
  Answered by_all(model, kNever), by_some(model, kTrained);
  by_some.tell_apart();
  ASSERT_LT(score(model, by_some, 1.0, kNever).accuracy, 0.95) << "nothing to leave out";
  EXPECT_GT(calibrate(model, dense, by_all, quiet()).curve.back().macs_fraction, 0.97);

  const double trained = score(model, by_some, 1.0, kTrained).macs_fraction;
  const Calibration calibration = calibrate(model, dense, by_some, quiet());
  EXPECT_LT(calibration.curve.back().macs_fraction, 0.9);
  EXPECT_GT(calibration.curve.back().metric, 0.95);
  EXPECT_NEAR(calibration.curve.back().macs_fraction, trained, 0.1);
}

TEST(Calibrate, RefusesADenseModel) {
  const LoadedModel dense = tiny::dense();
  PictureLoader held_out(std::make_shared<tiny::Pictures>(8), tiny::processor(), {.batch = 8});
  EXPECT_THROW(calibrate(dense, dense, held_out, quiet()), Error);
}

}  // namespace
}  // namespace pace
