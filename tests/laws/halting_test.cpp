// The laws of docs/architecture.md for halting stages, and their definitions.

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <sstream>

#include "pace/base/error.h"
#include "pace/train/halting_training.h"
#include "tests/laws/methods.h"
#include "tests/models/small_lstm.h"
#include "tests/models/small_resnet.h"
#include "tests/temporary_folder.h"

namespace pace::laws {
namespace {

using testing_models::small_lstm;
using testing_models::small_resnet;

constexpr double kNever = -1e6, kRounding = 5e-5;
constexpr HaltingMethod kMethods[] = {HaltingMethod::kAct, HaltingMethod::kSact,
                                      HaltingMethod::kPact, HaltingMethod::kSpatialPact};

enum class Backbone { kCifar, kBottleneck, kLstm };

LoadedModel dense_of(Backbone backbone) {
  if (backbone == Backbone::kLstm) return small_lstm(4, /*language_model=*/false);
  return small_resnet(backbone == Backbone::kBottleneck);
}

/// Halting scores that differ from place to place, around where they decide; a large `sharpness`
/// takes all of them far from there.
LoadedModel model_of(HaltingMethod method, Backbone backbone, double sharpness = 1.0) {
  LoadedModel model = build_halting(dense_of(backbone), {method}, 3);
  const at::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(12);
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    if (!name.starts_with("halting.")) continue;
    const double scale = name.ends_with("bias") ? 0.3 : 0.8;
    tensor.copy_(at::randn(tensor.sizes(), generator) * scale * sharpness);
  }
  return model;
}

Tensor pictures(int64_t batch) {
  return at::randn({batch, 1, 13, 17}, at::make_generator<at::CPUGeneratorImpl>(5));
}

/// Pictures, or texts of different lengths.
Tensor inputs_of(Backbone backbone, int64_t batch) {
  return backbone == Backbone::kLstm ? testing_models::random_tokens(batch, 5) : pictures(batch);
}

Pass pass_of(Form form, double price) {
  Pass pass;
  pass.form = form;
  pass.price = price;
  return pass;
}

Tensor run(const LoadedModel& model, const Tensor& inputs, Pass& pass) {
  const at::NoGradGuard no_grad;
  return model.model->forward(inputs, pass);
}

using Setting = std::tuple<HaltingMethod, Backbone>;

class HaltingLaws : public testing::TestWithParam<Setting> {
 protected:
  HaltingMethod method() const { return std::get<0>(GetParam()); }
  Backbone backbone() const { return std::get<1>(GetParam()); }
  LoadedModel model(double sharpness = 1.0) const {
    return model_of(method(), backbone(), sharpness);
  }
  Tensor inputs(int64_t batch) const { return inputs_of(backbone(), batch); }
  bool accumulates() const { return HaltingConfig{method()}.accumulates(); }
};

std::string name_of(const testing::TestParamInfo<Setting>& named) {
  constexpr const char* kNames[] = {"Cifar", "Bottleneck", "Lstm"};
  std::string name = to_string(std::get<0>(named.param));
  std::erase(name, '-');
  return name + kNames[static_cast<size_t>(std::get<1>(named.param))];
}

INSTANTIATE_TEST_SUITE_P(ResNet, HaltingLaws,
                         testing::Combine(testing::ValuesIn(kMethods),
                                          testing::Values(Backbone::kCifar, Backbone::kBottleneck)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Lstm, HaltingLaws,
                         testing::Combine(testing::Values(HaltingMethod::kAct,
                                                          HaltingMethod::kPact),
                                          testing::Values(Backbone::kLstm)),
                         name_of);

TEST_P(HaltingLaws, ExecutedEqualsRelaxedWhenDecisionsAreHard) {
  // ACT's are. PACT's become so when every logit is far from 0.
  const LoadedModel model = this->model(accumulates() ? 1.0 : 1e5);
  for (const double price : {kNever, -2.0, 0.0, 0.7, 1e6}) {
    Pass relaxed = pass_of(Form::kRelaxed, price), executed = pass_of(Form::kExecuted, price);
    const Tensor expected = run(model, inputs(5), relaxed);
    EXPECT_LT((run(model, inputs(5), executed) - expected).abs().max().item<double>(), kRounding)
        << "at price " << price;
    const size_t stages = executed.ledger.ponders().size();
    ASSERT_GT(stages, 0);
    for (size_t stage = 0; stage < stages; ++stage) {
      EXPECT_TRUE(
          executed.ledger.ponders()[stage].units.equal(relaxed.ledger.ponders()[stage].units));
    }
  }
}

TEST_P(HaltingLaws, AnExampleHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const LoadedModel model = this->model();
  const Tensor all = inputs(7);
  const int before = at::get_num_threads();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Pass together = pass_of(Form::kExecuted, 0.1);
    together.context.type = type;
    const Tensor answers = run(model, all, together);
    for (const int threads : {1, 3}) {
      at::set_num_threads(threads);
      for (int64_t i = 0; i < all.size(0); ++i) {
        Pass alone = pass_of(Form::kExecuted, 0.1);
        alone.context.type = type;
        EXPECT_TRUE(run(model, all.narrow(0, i, 1), alone)[0].equal(answers[i]));
        EXPECT_EQ(alone.ledger.macs()[0].item<double>(), together.ledger.macs()[i].item<double>());
      }
    }
    at::set_num_threads(before);
  }
}

TEST_P(HaltingLaws, RunningEveryUnitIsTheDenseModel) {
  Pass full = pass_of(Form::kExecuted, kNever), plain;
  const Tensor expected = run(dense_of(backbone()), inputs(4), plain);
  EXPECT_LT((run(model(), inputs(4), full) - expected).abs().max().item<double>(), kRounding);
}

TEST_P(HaltingLaws, TheLedgerEqualsWhatTheKernelsCountAndLessIsRunAtAHigherPrice) {
  const LoadedModel model = this->model();
  double last = std::numeric_limits<double>::infinity();
  for (const double price : {kNever, -2.0, -0.5, 0.0, 0.5, 2.0, 1e6}) {
    Pass pass = pass_of(Form::kExecuted, price);
    run(model, inputs(6), pass);
    const double macs = pass.ledger.macs().sum().item<double>();
    EXPECT_EQ(macs, static_cast<double>(pass.context.macs));
    EXPECT_LE(macs, last) << "at price " << price;
    last = macs;
  }
  Pass all = pass_of(Form::kExecuted, kNever), least = pass_of(Form::kExecuted, 1e6);
  run(model, inputs(6), all);
  run(model, inputs(6), least);
  for (const Ponder& stage : all.ledger.ponders()) {
    EXPECT_TRUE(stage.units.eq(stage.most).all().item<bool>());
  }
  for (const Ponder& stage : least.ledger.ponders()) {
    EXPECT_TRUE(stage.units.eq(1).all().item<bool>());
  }
}

TEST_P(HaltingLaws, TheTaskLossReachesWhatDecides) {
  const LoadedModel model = this->model();
  Pass pass = pass_of(Form::kRelaxed, -1.0);
  pass.noise = 1.0;
  pass.generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const Tensor logits = model.model->forward(inputs(6), pass);
  at::cross_entropy_loss(logits, at::tensor({0, 1, 2, 0, 1, 2}, at::kLong)).backward();
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    if (!name.starts_with("halting.")) continue;
    ASSERT_TRUE(tensor.grad().defined()) << name;
    // ACT: what is halting when the rest has gone has no weight of its own.
    if (!accumulates() || name.find(".0.") != std::string::npos) {
      EXPECT_GT(tensor.grad().abs().max().item<double>(), 0.0) << name;
    }
  }
}

TEST_P(HaltingLaws, SavedAndLoadedItAnswersTheSameBitForBit) {
  const LoadedModel model = this->model();
  const TemporaryFolder folder;
  save_model(folder.path(), model);
  const LoadedModel loaded = load_model(folder.path());
  ASSERT_TRUE(loaded.halting);
  EXPECT_EQ(loaded.halting->to_json(), model.halting->to_json());
  Pass one = pass_of(Form::kExecuted, 0.2), other = pass_of(Form::kExecuted, 0.2);
  EXPECT_TRUE(run(model, inputs(5), one).equal(run(loaded, inputs(5), other)));
}

/// The loss of training, always with the same draws.
Tensor loss_of(const LoadedModel& model, const Tensor& inputs) {
  Pass pass = pass_of(Form::kRelaxed, 0.0);
  pass.noise = 1.0;
  pass.generator = at::make_generator<at::CPUGeneratorImpl>(7);
  const Tensor logits = model.model->forward(inputs, pass);
  Tensor loss = at::cross_entropy_loss(logits, at::arange(inputs.size(0)) % 3);
  for (const Ponder& stage : pass.ledger.ponders()) loss = loss + 0.3 * stage.cost.mean();
  return loss;
}

TEST_P(HaltingLaws, GradientsEqualFiniteDifferences) {
  const LoadedModel model = this->model();
  const Tensor inputs = this->inputs(4);
  loss_of(model, inputs).backward();
  constexpr double kStep = 2e-3;
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    if (!name.starts_with("halting.") || name.find(".0.") == std::string::npos) continue;
    const Tensor gradient = tensor.grad().clone();
    const Tensor direction = gradient / gradient.norm();
    const at::NoGradGuard no_grad;
    const auto at = [&](double step) {
      tensor.add_(direction * step);
      const double loss = loss_of(model, inputs).item<double>();
      tensor.sub_(direction * step);
      return loss;
    };
    const double slope = (at(kStep) - at(-kStep)) / (2 * kStep);
    EXPECT_NEAR(slope, gradient.norm().item<double>(), 0.03 * std::abs(slope) + 1e-3) << name;
  }
}

/// One stage of four units. What follows it is linear in the states' mean, so answers can be
/// compared with weighted sums of answers.
struct OneStage {
  LoadedModel model;
  Tensor inputs;

  explicit OneStage(HaltingMethod method) {
    json config = testing_models::small_resnet_config();
    config["depths"] = {4};
    config["hidden_sizes"] = {6};
    config["stage_strides"] = {1};
    LoadedModel dense = build_dense(config, "small", nullptr, {});
    model = build_halting(dense, {method}, 3);
    const at::NoGradGuard no_grad;
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(4);
    for (const auto& [name, tensor] : model.model->parameters().all()) {
      if (name.starts_with("halting.")) tensor.copy_(at::randn(tensor.sizes(), generator) * 0.8);
    }
    inputs = pictures(3);
  }

  /// What the model answers when every picture stops after unit `last`.
  Tensor answer(int64_t last) const {
    LoadedModel cut = build_halting(model, {HaltingMethod::kPact}, 3);
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : cut.model->parameters().all()) {
      if (name.find(".bias") == std::string::npos || !name.starts_with("halting.")) {
        if (name.starts_with("halting.")) tensor.zero_();
        continue;
      }
      tensor.fill_(name.starts_with("halting.layer1." + std::to_string(last - 1)) ? 1e3 : -1e3);
    }
    Pass pass = pass_of(Form::kExecuted, 0.0);
    return cut.model->forward(inputs, pass);
  }
};

/// The halting scores h of each picture: [pictures, 3]. A sample without noise is sigmoid(logit h /
/// T).
Tensor halting_scores(const OneStage& stage) {
  const at::NoGradGuard no_grad;
  std::vector<Tensor> scores;
  for (int64_t unit = 0; unit + 1 < 4; ++unit) {
    // With all other units silenced, the ponder cost tells the weight of this one.
    LoadedModel probe = build_halting(stage.model, {HaltingMethod::kPact}, 3);
    for (const auto& [name, tensor] : probe.model->parameters().all()) {
      const std::string own = "halting.layer1." + std::to_string(unit);
      if (!name.starts_with("halting.") || name.starts_with(own)) continue;
      tensor.zero_();
      if (name.ends_with("bias")) tensor.fill_(-1e3);
    }
    Pass pass = pass_of(Form::kRelaxed, 0.0);
    probe.model->forward(stage.inputs, pass);
    const Tensor weight = (4.0 - pass.ledger.ponders()[0].cost) / (3.0 - unit);
    scores.push_back((weight.logit() * (2.0 / 3.0)).sigmoid());
  }
  return at::stack(scores, 1);  // [pictures, 3]
}

/// By arXiv 1603.08983, equations 5 to 10.
TEST(Act, IsTheWeightedSumOfItsDefinition) {
  const at::NoGradGuard no_grad;
  const OneStage stage(HaltingMethod::kAct);
  const Tensor h = halting_scores(OneStage(HaltingMethod::kPact));
  std::vector<Tensor> answers;
  for (int64_t unit = 1; unit <= 4; ++unit) answers.push_back(stage.answer(unit));
  Pass pass = pass_of(Form::kRelaxed, 0.0);
  const Tensor given = stage.model.model->forward(stage.inputs, pass);
  for (int64_t i = 0; i < 3; ++i) {
    Tensor expected = at::zeros({3});
    double sum = 0.0, ponder = 0.0;
    for (int64_t n = 0; n < 4; ++n) {
      const double score = n < 3 ? h[i][n].item<double>() : 1.0;
      const bool stops = sum + score >= 0.99;
      expected += answers[static_cast<size_t>(n)][i] * (stops ? 1.0 - sum : score);
      ponder = static_cast<double>(n + 1) + 1.0 - sum;
      if (stops) break;
      sum += score;
    }
    EXPECT_TRUE(at::allclose(given[i], expected, 1e-3, 1e-4));
    EXPECT_NEAR(pass.ledger.ponders()[0].cost[i].item<double>(), ponder, 1e-3);
  }
}

TEST(Pact, SamplesStopAsOftenAsTheEnumeratedLatentVariableSays) {
  const at::NoGradGuard no_grad;
  const OneStage stage(HaltingMethod::kPact);
  const Tensor h = halting_scores(stage);
  Tensor left = at::ones({3}), expected = at::zeros({3});  // mean units, over all z
  for (int64_t n = 0; n < 4; ++n) {
    const Tensor stop = n < 3 ? h.select(1, n) : at::ones({3});
    expected += left * stop * static_cast<double>(n + 1);
    left = left * (1.0 - stop);
  }
  // A Concrete sample is over 1/2 as often as its Bernoulli variable is 1, at every temperature.
  constexpr int kDraws = 4000;
  Tensor units = at::zeros({3});
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(1);
  for (int draw = 0; draw < kDraws; ++draw) {
    Pass pass = pass_of(Form::kRelaxed, 0.0);
    pass.noise = 1.0;
    pass.generator = generator;
    stage.model.model->forward(stage.inputs, pass);
    units += pass.ledger.ponders()[0].units.to(at::kFloat) / kDraws;
  }
  EXPECT_LT((units - expected).abs().max().item<double>(), 0.06);
}

/// The mean of -log p(y | z) + tau z over q(z), against the mean of the relaxed objective over
/// draws: as the temperature falls, samples become hard and the two the same. Logits and noise that
/// are both larger are a lower temperature.
TEST(Pact, RelaxedObjectiveEqualsTheEnumerationOfTheLatentVariable) {
  const at::NoGradGuard no_grad;
  constexpr double kTau = 0.3;
  const OneStage stage(HaltingMethod::kPact);
  const Tensor labels = at::tensor({0, 1, 2}, at::kLong);
  const auto objective = [&](const Tensor& logits, const Tensor& cost) {
    return at::cross_entropy_loss(logits, labels, {}, at::Reduction::None) + kTau * cost;
  };
  const Tensor h = halting_scores(stage);
  Tensor left = at::ones({3}), expected = at::zeros({3});
  for (int64_t n = 0; n < 4; ++n) {
    const Tensor stop = n < 3 ? h.select(1, n) : at::ones({3});
    const Tensor units = at::full({3}, static_cast<double>(n + 1));
    expected += left * stop * objective(stage.answer(n + 1), units);
    left = left * (1.0 - stop);
  }
  constexpr int kDraws = 4000;
  constexpr double kSharp = 300.0;
  for (const auto& [name, tensor] : stage.model.model->parameters().all()) {
    if (name.starts_with("halting.")) tensor.mul_(kSharp);
  }
  Tensor mean = at::zeros({3});
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(1);
  for (int draw = 0; draw < kDraws; ++draw) {
    Pass pass = pass_of(Form::kRelaxed, 0.0);
    pass.noise = kSharp;
    pass.generator = generator;
    const Tensor logits = stage.model.model->forward(stage.inputs, pass);
    mean += objective(logits, pass.ledger.ponders()[0].cost) / kDraws;
  }
  EXPECT_LT((mean - expected).abs().max().item<double>(), 0.03);
  EXPECT_GT((objective(stage.answer(4), at::full({3}, 4.0)) - expected).abs().max().item<double>(),
            0.1)
      << "too alike to tell errors";
}

std::unique_ptr<Loader> training_data(Backbone backbone) {
  if (backbone == Backbone::kLstm) return bert().data(24, 8);
  LoaderOptions loading = batches_of(8);
  loading.shuffle = true;
  loading.seed = 9;
  return std::make_unique<PictureLoader>(std::make_shared<Pictures>(24), processor(), loading);
}

HaltingTraining two_epochs() {
  HaltingTraining options;
  options.ponder = 0.1;
  options.finetune.epochs = 2;
  options.finetune.checkpoint_seconds = 1e-9;
  return options;
}

void train(LoadedModel& model, Loader& loader, const HaltingTraining& options,
           const fs::path& folder, int64_t stop = -1) {
  Trainer trainer(folder, {kFinetunePhase}, model.model->parameters().all());
  if (stop >= 0) trainer.stop_after(stop);
  train_halting(model, options, loader, trainer);
}

LoadedModel train(HaltingMethod method, Backbone backbone, const fs::path& folder,
                  int64_t stop = -1) {
  LoadedModel model = build_halting(dense_of(backbone), {method}, 3);
  train(model, *training_data(backbone), two_epochs(), folder, stop);
  return model;
}

TEST(HaltingTraining, StoppedAndResumedGivesTheSameWeightsAndStatistics) {
  at::set_num_threads(1);
  for (const Backbone backbone : {Backbone::kCifar, Backbone::kLstm}) {
    for (const HaltingMethod method : kMethods) {
      if (backbone == Backbone::kLstm && HaltingConfig{method}.by_position()) continue;
      const TemporaryFolder whole, cut;
      const LoadedModel expected = train(method, backbone, whole.path());
      train(method, backbone, cut.path(), 3);
      const LoadedModel resumed = train(method, backbone, cut.path());
      for (const auto& [name, tensor] : expected.model->parameters().all()) {
        EXPECT_TRUE(tensor.equal(resumed.model->parameters().at(name))) << name;
      }
    }
  }
}

/// Units that the stages of a network run in a training that changes nothing, all of whose halting
/// units say to stop at once.
double units_in_training(double range) {
  LoadedModel model = build_halting(small_resnet(), {HaltingMethod::kPact}, 3);
  {
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : model.model->parameters().all()) {
      if (name.starts_with("halting.") && name.ends_with("bias")) tensor.fill_(20.0);
    }
  }
  HaltingTraining options = two_epochs();
  options.finetune.epochs = 20;
  options.finetune.learning_rate = 0.0;
  options.range = range;
  const TemporaryFolder folder;
  train(model, *training_data(Backbone::kCifar), options, folder.path());
  std::istringstream lines(read_text(folder / Trainer::kMetrics));
  double units = 0.0, steps = 0.0;
  for (std::string line; std::getline(lines, line);) {
    const json means = json::parse(line);  // since the line before
    units += means.at("units").get<double>() * (means.at("step").get<double>() - steps);
    steps = means.at("step");
  }
  return units / steps;
}

TEST(HaltingTraining, HalfOfTheBatchesHaltLater) {
  at::set_num_threads(1);
  constexpr double kOneEach = 2.0, kAll = 6.0;  // of the stages' 2 and 4 units
  EXPECT_DOUBLE_EQ(units_in_training(0.0), kOneEach);
  // So far that every batch that does runs every unit.
  EXPECT_NEAR(units_in_training(1e9), (kOneEach + kAll) / 2, 0.8);
}

TEST(HaltingTraining, KeepsTheStatisticsOfTheDenseNetwork) {
  const TemporaryFolder folder;
  const LoadedModel before = small_resnet(),
                    after = train(HaltingMethod::kSpatialPact, Backbone::kCifar, folder.path());
  int kept = 0, changed = 0;
  for (const auto& [name, tensor] : before.model->parameters().all()) {
    const bool same = tensor.equal(after.model->parameters().at(name));
    if (name.find("running_") != std::string::npos) {
      EXPECT_TRUE(same) << name;
      ++kept;
    } else {
      changed += same ? 0 : 1;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(changed, 0);
}

TEST(Halting, IsRefusedWhereItHasNoMeaning) {
  EXPECT_THROW(build_halting(testing_models::small_model(), {HaltingMethod::kAct}, 3), Error);
  EXPECT_THROW(build_halting(small_lstm(3), {HaltingMethod::kSact}, 3), Error);
  EXPECT_THROW(build_halting(small_lstm(1), {HaltingMethod::kAct}, 3), Error);
  EXPECT_THROW(build_exits(small_resnet(), {ExitRule::kDact}, 3), Error);
}

}  // namespace
}  // namespace pace::laws
