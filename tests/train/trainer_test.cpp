#include "pace/train/trainer.h"
#include "pace/data/picture_loader.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include <gmock/gmock.h>

#include <limits>
#include <sstream>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"
#include "tests/train/toy.h"

namespace pace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() { at::set_num_threads(1); }

  NamedTensors parameters() { return model_.model->parameters().all(); }
  std::vector<ParameterGroup> everything(double rate = 3e-3) { return {{parameters(), rate, 0.0}}; }
  Trainer trainer(std::vector<std::string> phases = {"train"}) {
    return Trainer(folder_.path(), std::move(phases), parameters());
  }

  TemporaryFolder folder_;
  LoadedModel model_ = toy::model();
};

/// The lines of a run's metrics without what differs from run to run.
std::vector<json> lines_of(const fs::path& folder, bool with_times = false) {
  std::istringstream text(read_text(folder / Trainer::kMetrics));
  std::vector<json> lines;
  for (std::string line; std::getline(text, line);) {
    lines.push_back(json::parse(line));
    if (with_times) continue;
    lines.back().erase("seconds");
    lines.back().erase("images_per_second");
  }
  return lines;
}

TEST_F(TrainerTest, LossFallsAndMetricsTell) {
  PictureLoader loader = toy::loader(120, 12);
  PhaseOptions options;
  options.epochs = 10;
  options.warmup_steps = 5;
  std::vector<int64_t> epochs;
  trainer().run(options, loader, everything(), toy::objective(*model_.model), [&](int64_t epoch) {
    epochs.push_back(epoch);
    EXPECT_FALSE(at::GradMode::is_enabled());
    return StepFigures{{"held_out", 0.5}};
  });
  EXPECT_THAT(epochs, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  const auto lines = lines_of(folder_.path(), true);
  ASSERT_EQ(lines.size(), 20u);  // one and the hook's per epoch
  EXPECT_LT(lines[18]["loss"], 0.6 * lines[0]["loss"].get<double>());
  EXPECT_EQ(lines[0]["phase"], "train");
  EXPECT_EQ(lines[0]["step"], 10);
  EXPECT_EQ(lines[0]["epoch"], 1.0);
  EXPECT_NEAR(lines[0]["learning_rate"].get<double>(),
              3e-3 * cosine_schedule(9, 100, options.warmup_steps, 0.0), 1e-12);
  EXPECT_GT(lines[0]["images_per_second"], 0.0);
  EXPECT_EQ(lines[1]["held_out"], 0.5);
}

TEST_F(TrainerTest, BatchesMakeOneStepWhereGradientsAccumulate) {
  // Without noise and mixing, so that three batches of 4 say the same as one of 12.
  const auto objective = [this](const Batch& batch, at::Generator&) -> StepFigures {
    Pass pass;
    pass.form = Form::kRelaxed;
    const Tensor logits = model_.model->forward(batch.inputs, pass).to(at::kFloat);
    const Tensor loss = at::cross_entropy_loss(logits, batch.labels);
    loss.backward();
    return {{"loss", loss.item<double>()}, {kMacs, pass.ledger.macs().sum().item<double>()}};
  };
  const auto trained = [&](int64_t batch, int64_t accumulate, std::vector<int64_t> stops = {}) {
    model_ = toy::model();
    const TemporaryFolder folder;
    // 40 examples: the last step of an epoch has one batch of 4.
    PictureLoader loader(std::make_shared<toy::Stripes>(40), toy::processor(),
                         {.batch = batch, .threads = 1, .shuffle = true, .seed = 5});
    PhaseOptions options;
    options.epochs = 2;
    options.accumulate = accumulate;
    stops.push_back(-1);
    for (const int64_t stop : stops) {
      Trainer trainer(folder.path(), {"train"}, parameters());
      trainer.stop_after(stop);
      trainer.run(options, loader, everything(), objective);
      if (stop >= 0) model_ = toy::model();
    }
    return std::pair(toy::copy(parameters()), lines_of(folder.path()).back());
  };
  const auto [whole, line] = trained(12, 1);
  const auto [parts, same_line] = trained(4, 3);
  for (size_t i = 0; i < whole.size(); ++i) {
    // The softmax leaves them no gradient but noise, and Adam makes steps of that.
    if (whole[i].first.ends_with("key.bias")) continue;
    EXPECT_TRUE(at::allclose(whole[i].second, parts[i].second, 1e-3, 1e-5)) << whole[i].first;
  }
  EXPECT_EQ(line["step"], 8);
  EXPECT_EQ(same_line["step"], 8);
  EXPECT_EQ(line["macs"], same_line["macs"]);
  EXPECT_NEAR(line["loss"].get<double>(), same_line["loss"].get<double>(), 1e-4);
  const auto [resumed, resumed_line] = trained(4, 3, {3, 2});
  EXPECT_TRUE(toy::same(parts, resumed));
  EXPECT_EQ(same_line, resumed_line);
  PictureLoader loader = toy::loader();
  PhaseOptions none;
  none.accumulate = 0;
  EXPECT_THAT(error_of([&] { trainer().run(none, loader, everything(), objective); }),
              HasSubstr("a step of 0 batches"));
}

TEST_F(TrainerTest, TrainsInBfloat16) {
  PictureLoader loader = toy::loader(120, 12);
  PhaseOptions options;
  options.epochs = 5;
  options.bf16 = true;
  bool half = false;
  trainer().run(options, loader, everything(), [&](const Batch& batch, at::Generator& generator) {
    half = at::linear(batch.inputs.flatten(1), at::ones({2, 64})).scalar_type() == at::kBFloat16;
    return toy::objective(*model_.model)(batch, generator);
  });
  EXPECT_TRUE(half);
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
  const auto lines = lines_of(folder_.path());
  EXPECT_LT(lines.back()["loss"], 0.9 * lines.front()["loss"].get<double>());
  for (const auto& [name, tensor] : parameters()) EXPECT_EQ(tensor.scalar_type(), at::kFloat);
}

TEST_F(TrainerTest, StoppedAnywhereAndResumedIsTheSameBitForBit) {
  Trainer whole = trainer(toy::kPhases);
  toy::train_phases(model_, whole);
  const NamedTensors wanted = toy::copy(parameters());
  const auto wanted_lines = lines_of(folder_.path());
  ASSERT_EQ(lines_of(folder_.path()).back()["step"], 7);

  // Phases are 7 steps long: within an epoch, at its end, at the end of a phase, twice in one.
  for (const std::vector<int64_t>& stops :
       {std::vector<int64_t>{0}, {3}, {5}, {7}, {8, 2}, {14}, {17, 1, 1}, {20}}) {
    TemporaryFolder folder;
    for (size_t part = 0; part <= stops.size(); ++part) {
      LoadedModel model = toy::model(part == 0 ? 3 : 100);  // only the checkpoint knows the weights
      Trainer trainer(folder.path(), toy::kPhases, model.model->parameters().all());
      if (part < stops.size()) trainer.stop_after(stops[part]);
      toy::train_phases(model, trainer);
      ASSERT_EQ(trainer.stopped(), part < stops.size());
      if (trainer.stopped()) continue;
      EXPECT_TRUE(toy::same(model.model->parameters().all(), wanted)) << "stop at " << stops[0];
      EXPECT_EQ(lines_of(folder.path()), wanted_lines) << "stop at " << stops[0];
    }
  }
}

TEST_F(TrainerTest, LinesAfterTheCheckpointAreDropped) {
  Trainer first = trainer(toy::kPhases);
  first.stop_after(12);
  toy::train_phases(model_, first);
  const auto before = lines_of(folder_.path());
  std::string text = read_text(folder_ / Trainer::kMetrics);
  text += R"({"phase": "blocks", "step": 6, "loss": 1})"
          "\n";
  text += R"({"phase": "all", "step": 1, "loss": 1})"
          "\n";
  text +=
      "null\n"
      R"({"phase": "blocks", "st)";
  write_text(folder_ / Trainer::kMetrics, text);
  Trainer second = trainer(toy::kPhases);
  second.stop_after(0);
  toy::train_phases(model_, second);
  EXPECT_EQ(lines_of(folder_.path()), before);
}

TEST_F(TrainerTest, FinishedPhasesLeaveTheParametersAlone) {
  Trainer first = trainer(toy::kPhases);
  toy::train_phases(model_, first);
  LoadedModel other = toy::model(8);
  const NamedTensors before = toy::copy(other.model->parameters().all());
  Trainer second(folder_.path(), toy::kPhases, other.model->parameters().all());
  PictureLoader loader = toy::loader();
  PhaseOptions options;
  options.name = "blocks";
  second.run(options, loader, {{other.model->parameters().all()}},
             [](const Batch&, at::Generator&) -> StepFigures { throw Error("never called"); });
  EXPECT_TRUE(toy::same(other.model->parameters().all(), before));
}

TEST_F(TrainerTest, OnlyTheGroupsAreTrained) {
  const auto [name, frozen] = parameters().front();
  const Tensor before = frozen.detach().clone();
  NamedTensors rest = parameters();
  rest.erase(rest.begin());
  PictureLoader loader = toy::loader();
  trainer().run({}, loader, {{rest, 1e-2, 0.1}}, [&](const Batch& batch, at::Generator& generator) {
    EXPECT_FALSE(frozen.requires_grad());
    return toy::objective(*model_.model)(batch, generator);
  });
  EXPECT_TRUE(frozen.requires_grad());
  EXPECT_TRUE(frozen.equal(before));
  EXPECT_FALSE(frozen.grad().defined());
}

TEST_F(TrainerTest, NotFiniteIsAnErrorThatSaysWhere) {
  PictureLoader loader = toy::loader();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  int step = 0;
  EXPECT_THAT(error_of([&] {
                trainer().run({}, loader, everything(), [&](const Batch&, at::Generator&) {
                  return StepFigures{{"loss", ++step == 3 ? nan : 1.0}};
                });
              }),
              HasSubstr("phase 'train', step 3 of 5: loss is nan; try a lower learning rate"));
  EXPECT_THAT(error_of([&] {
                trainer().run({}, loader, everything(), [&](const Batch&, at::Generator&) {
                  (parameters().front().second.sum() * nan).backward();
                  return StepFigures{{"loss", 1.0}};
                });
              }),
              HasSubstr("step 1 of 5: the gradient of '" + parameters().front().first));
}

TEST_F(TrainerTest, RefusesAnotherRunsCheckpoint) {
  Trainer first = trainer();
  first.stop_after(2);
  PictureLoader loader = toy::loader();
  const Objective objective = toy::objective(*model_.model);
  first.run({}, loader, everything(), objective);
  PhaseOptions other;
  other.seed = 1;
  EXPECT_THAT(error_of([&] { trainer().run(other, loader, everything(), objective); }),
              HasSubstr("seed 0, but this one has 5, 5 and 1"));
  other = {};
  other.epochs = 2;
  EXPECT_THAT(error_of([&] { trainer().run(other, loader, everything(), objective); }),
              HasSubstr("with 5 steps in phase 'train'"));
  EXPECT_THAT(error_of([&] {
                trainer({"a", "b"}).run({}, loader, everything(), objective);
              }),
              HasSubstr("'train' is no phase of the run"));
  write_text(folder_ / Trainer::kCheckpoint, "rubbish");
  EXPECT_THAT(error_of([&] { trainer().run({}, loader, everything(), objective); }),
              HasSubstr(Trainer::kCheckpoint));
}

TEST_F(TrainerTest, RefusesWhatCannotBeTrained) {
  PictureLoader loader = toy::loader();
  const Objective objective = toy::objective(*model_.model);
  PhaseOptions options;
  options.epochs = -1;
  EXPECT_THAT(error_of([&] { trainer().run(options, loader, everything(), objective); }),
              HasSubstr("is to run -1 epochs"));
  EXPECT_THAT(error_of([&] { trainer().run({}, loader, {}, objective); }),
              HasSubstr("no parameters to train"));
  options.epochs = 0;
  const NamedTensors before = toy::copy(parameters());
  trainer().run(options, loader, everything(), objective);
  EXPECT_TRUE(toy::same(parameters(), before));
}

/// Stripes of which a whole batch is broken, wherever the shuffle puts it.
class Holes : public toy::Stripes {
 public:
  using toy::Stripes::Stripes;
  Image image(int64_t index) const override {
    if (index % 2 == 0) fail("{} is broken", name(index));
    return toy::Stripes::image(index);
  }
};

TEST_F(TrainerTest, BrokenPicturesDoNotShiftAResumedRun) {
  const auto run = [](const fs::path& folder, uint64_t seed, int64_t stop, NamedTensors* weights) {
    LoadedModel model = toy::model(seed);
    const NamedTensors all = model.model->parameters().all();
    LoaderOptions options;
    options.batch = 1;
    options.threads = 1;
    options.shuffle = true;
    options.skip_broken = true;
    PictureLoader loader(std::make_shared<Holes>(20), toy::processor(), options);
    Trainer trainer(folder, {"train"}, all);
    trainer.stop_after(stop);
    PhaseOptions phase;
    phase.epochs = 2;
    trainer.run(phase, loader, {{all, 1e-3, 0.0}}, toy::objective(*model.model));
    *weights = toy::copy(all);
  };
  NamedTensors wanted, resumed;
  run(folder_.path(), 3, -1, &wanted);
  for (const int64_t stop : {1, 6, 10, 14}) {
    TemporaryFolder folder;
    run(folder.path(), 3, stop, &resumed);
    run(folder.path(), 4, -1, &resumed);
    EXPECT_TRUE(toy::same(resumed, wanted)) << "stop at " << stop;
  }
}

}  // namespace
}  // namespace pace
