// Law 8: training stopped at any step and resumed gives the weights of an uninterrupted run.

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "pace/data/picture_loader.h"
#include "pace/train/distill.h"
#include "pace/train/exit_training.h"
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

PictureLoader loader_of_24() {
  LoaderOptions loading = batches_of(8);
  loading.shuffle = true;
  loading.seed = 9;
  loading.augment.flip = true;
  loading.augment.mixup = 0.5;
  return {std::make_shared<Pictures>(24), processor(), loading};
}

LoadedModel train(const LoadedModel& dense, const DistillOptions& options, const fs::path& folder,
                  Reporter& reporter) {
  PictureLoader loader = loader_of_24();
  return distill(dense, options, loader, folder, reporter);
}

LoadedModel train_with_exits(ExitRule rule, const fs::path& folder, Reporter& reporter,
                             ExitTraining options = {}) {
  LoadedModel model = build_exits(testing_models::small_model(), {rule}, 3);
  options.finetune.epochs = 2;
  options.finetune.checkpoint_seconds = 1e-9;
  options.finetune.seed = 4;
  PictureLoader loader = loader_of_24();
  Trainer trainer(folder, {kFinetunePhase}, model.model->parameters().all(), reporter);
  train_exits(model, options, loader, trainer);
  return model;
}

void expect_same_weights(const LoadedModel& one, const LoadedModel& other) {
  for (const auto& [name, tensor] : one.model->parameters().all()) {
    EXPECT_TRUE(tensor.equal(other.model->parameters().at(name))) << name;
  }
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
  expect_same_weights(expected, resumed);
}

class ResumingExits : public testing::TestWithParam<std::tuple<ExitRule, int64_t>> {};

TEST_P(ResumingExits, GivesTheWeightsOfAnUninterruptedRun) {
  at::set_num_threads(1);
  const auto [rule, steps] = GetParam();
  const TemporaryFolder whole, cut;
  const LoadedModel expected = train_with_exits(rule, whole.path(), quiet());
  Killer killer(steps);
  EXPECT_THROW(train_with_exits(rule, cut.path(), killer), std::runtime_error);
  expect_same_weights(expected, train_with_exits(rule, cut.path(), quiet()));
}

TEST(ExitTraining, ThePonderCostMovesOnlyTheHaltingUnits) {
  const auto train = [](double ponder, bool paper_loss) {
    const TemporaryFolder folder;
    ExitTraining options;
    options.ponder = ponder;
    options.paper_loss = paper_loss;
    options.finetune.clip_norm = 0.0;  // which is of all gradients together
    return train_with_exits(ExitRule::kDact, folder.path(), quiet(), options);
  };
  const LoadedModel low = train(0.0, false), high = train(1.0, false), paper = train(1.0, true);
  for (const auto& [name, tensor] : low.model->parameters().all()) {
    const bool halting = name.find(".halting") != std::string::npos;
    EXPECT_EQ(tensor.equal(high.model->parameters().at(name)), !halting) << name;
    if (name.starts_with("exit.")) {
      EXPECT_FALSE(tensor.equal(paper.model->parameters().at(name))) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AtSteps, ResumingExits,
                         testing::Combine(testing::Values(ExitRule::kDact, ExitRule::kConfidence),
                                          testing::Values(0, 2, 4)));

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
