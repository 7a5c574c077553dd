// Law 8: training stopped at any step and resumed gives the weights of an uninterrupted run.

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "pace/data/picture_loader.h"
#include "pace/train/distill.h"
#include "tests/laws/methods.h"
#include "tests/laws/pictures.h"
#include "tests/temporary_folder.h"

namespace pace::laws {
namespace {

/// Ends the run after so many steps, as a kill would.
class Killer : public Reporter {
 public:
  explicit Killer(int64_t steps) : left_(steps) {}
  void advance(int64_t, std::string_view) override {
    if (left_-- == 0) throw std::runtime_error("killed");
  }

 private:
  int64_t left_;
};

DistillOptions short_run(GateKind gate) {
  DistillOptions options;
  options.acm = acm_of({MapKind::kMlp, MapKind::kValue}, 4, gate);
  options.statistics_examples = 16;
  options.epochs1 = 1;
  options.epochs2 = 1;
  options.epochs3 = 2;
  options.checkpoint_seconds = 1e-9;  // after every step
  options.seed = 4;
  return options;
}

LoadedModel train(const LoadedModel& dense, const DistillOptions& options, const fs::path& folder,
                  Reporter& reporter) {
  LoaderOptions loading = batches_of(8);
  loading.shuffle = true;
  loading.seed = 9;
  loading.augment.flip = true;
  loading.augment.mixup = 0.5;
  PictureLoader loader(std::make_shared<Pictures>(24), processor(), loading);
  return distill(dense, options, loader, folder, reporter);
}

class Resuming : public testing::TestWithParam<std::tuple<GateKind, int64_t>> {};

TEST_P(Resuming, GivesTheWeightsOfAnUninterruptedRun) {
  at::set_num_threads(1);
  const auto [gate, steps] = GetParam();
  const LoadedModel dense = testing_models::small_model();
  const DistillOptions options = short_run(gate);
  const TemporaryFolder whole, cut;
  const LoadedModel expected = train(dense, options, whole.path(), quiet());
  Killer killer(steps);
  EXPECT_THROW(train(dense, options, cut.path(), killer), std::runtime_error);
  const LoadedModel resumed = train(dense, options, cut.path(), quiet());
  for (const auto& [name, tensor] : expected.model->parameters().all()) {
    EXPECT_TRUE(tensor.equal(resumed.model->parameters().at(name))) << name;
  }
}

TEST(Distill, TrainsLearnersButNotTheirCentres) {
  const LoadedModel dense = testing_models::small_model();
  DistillOptions options = short_run(GateKind::kLearned);
  const TemporaryFolder folder, untrained;
  const LoadedModel trained = train(dense, options, folder.path(), quiet());
  options.epochs1 = options.epochs2 = options.epochs3 = 0;
  const LoadedModel start = train(dense, options, untrained.path(), quiet());
  for (const auto& [name, tensor] : start.model->parameters().all()) {
    const bool same = tensor.equal(trained.model->parameters().at(name));
    if (name.ends_with(".centre")) {
      EXPECT_TRUE(same) << name;
    } else if (name.ends_with(".out_weight")) {
      EXPECT_FALSE(same) << name;
    }
  }
}

TEST(Distill, TrainsEveryKindOfMapInBfloat16) {
  const LoadedModel dense = testing_models::small_model();
  DistillOptions options = short_run(GateKind::kLearned);
  options.acm.kinds = AcmConfig().kinds;
  options.bf16 = true;
  const TemporaryFolder folder;
  const LoadedModel trained = train(dense, options, folder.path(), quiet());
  for (const auto& [name, tensor] : trained.model->parameters().all()) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    EXPECT_TRUE(at::isfinite(tensor).all().item<bool>()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(AtSteps, Resuming,
                         testing::Combine(testing::Values(GateKind::kLearned, GateKind::kStatic),
                                          testing::Values(1, 3, 5, 8)));

}  // namespace
}  // namespace pace::laws
