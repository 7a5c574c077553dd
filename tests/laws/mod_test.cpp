// The laws of docs/architecture.md for Mixture-of-Depths: tokens compete in training and are judged
// one by one in inference.

#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "pace/base/error.h"
#include "pace/models/generate.h"
#include "pace/train/routing_training.h"
#include "tests/error_of.h"
#include "tests/laws/rule_texts.h"
#include "tests/models/small_decoder.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using laws::figures_in;
using laws::RuleLoader;
using testing::HasSubstr;
using testing_models::small_decoder;
using testing_models::tokens_of;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::vector<int64_t> kLengths{11, 40, 1, 23};

struct Case {
  const char* name;
  bool llama;
  ModConfig config;
};

std::vector<Case> cases() {
  return {{"Gpt2Predictor", false, {.capacity = 0.25, .blocks = {1}}},
          {"LlamaPredictor", true, {.capacity = 0.125, .blocks = {0, 2}}},
          {"LlamaAuxiliary",
           true,
           {.capacity = 0.5, .blocks = {1, 2}, .causal = CausalRouting::kAuxiliary}},
          {"Gpt2Offset", false, {.capacity = 0.5, .blocks = {0, 1, 2}, .offset = 1.0}},
          {"LlamaRandom", true, {.capacity = 0.25, .blocks = {1}, .random = true}}};
}

LoadedModel model_of(const Case& made) {
  LoadedModel model = build_mod(small_decoder(made.llama), made.config, 3);
  const at::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(12);
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    if (!name.starts_with("mod.")) continue;
    tensor.add_(at::randn(tensor.sizes(), generator) * 0.3);
  }
  return model;
}

Tensor run(const LoadedModel& model, const Tensor& inputs, Pass& pass) {
  const at::NoGradGuard no_grad;
  return model.model->forward(inputs, pass);
}

Pass executed(double price = 0.0) {
  Pass pass;
  pass.price = price;
  return pass;
}

int64_t count(const Routing& routing) { return routing.chosen.sum().item<int64_t>(); }

class ModLaws : public testing::TestWithParam<Case> {
 protected:
  const ModConfig& config() const { return GetParam().config; }
  LoadedModel model() const { return model_of(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Mod, ModLaws, testing::ValuesIn(cases()),
                         [](const auto& named) { return std::string(named.param.name); });

TEST_P(ModLaws, ExecutedEqualsRelaxedWhereTokensCompete) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  Pass full = executed(), relaxed;
  full.compete = true;
  relaxed.form = Form::kRelaxed;
  const Tensor expected = run(model, inputs, relaxed);
  EXPECT_LT((run(model, inputs, full) - expected).abs().max().item<double>(), 1e-4);
  const at::AutoGradMode with_gradients(true);
  Pass training;
  training.form = Form::kRelaxed;
  EXPECT_LT((model.model->forward(inputs, training) - expected).abs().max().item<double>(), 1e-4);
  ASSERT_EQ(full.ledger.routings().size(), config().blocks.size());
  int64_t expected_count = 0;
  for (const int64_t length : kLengths) expected_count += Mod::room(config().capacity, length);
  for (size_t i = 0; i < config().blocks.size(); ++i) {
    const Routing& routing = full.ledger.routings()[i];
    EXPECT_EQ(routing.block, config().blocks[i]);
    EXPECT_EQ(count(routing), expected_count);
    EXPECT_TRUE(routing.chosen.equal(relaxed.ledger.routings()[i].chosen));
    EXPECT_TRUE(routing.chosen.equal(training.ledger.routings()[i].chosen));
  }
}

TEST_P(ModLaws, ASequenceHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  Pass together = executed();
  const Tensor answers = run(model, inputs, together);
  const int before = at::get_num_threads();
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    for (int64_t i = 0; i < inputs.size(0); ++i) {
      const int64_t length = kLengths[static_cast<size_t>(i)];
      Pass alone = executed();
      const Tensor own = run(model, inputs.narrow(0, i, 1).narrow(1, 0, length), alone);
      EXPECT_TRUE(own[0].equal(answers[i].narrow(0, 0, length)));
      EXPECT_EQ(alone.ledger.macs()[0].item<double>(), together.ledger.macs()[i].item<double>());
    }
  }
  at::set_num_threads(before);
}

TEST_P(ModLaws, TokenByTokenItIsAsInOneGo) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of({40, 40, 40}, 4);
  Pass whole = executed();
  const Tensor expected = run(model, inputs, whole);
  Memory memory = *model.model->remember(3);
  double macs = 0.0;
  int64_t done = 0;
  for (const int64_t tokens : {7, 1, 1, 1, 1, 1, 5, 1, 1, 20, 1}) {
    Pass next = executed();
    next.memory = &memory;
    const Tensor logits = run(model, inputs.narrow(1, done, tokens), next);
    EXPECT_TRUE(logits.equal(expected.narrow(1, done, tokens))) << done;
    macs += next.ledger.macs().sum().item<double>();
    done += tokens;
  }
  EXPECT_EQ(done, 40);
  EXPECT_EQ(macs, whole.ledger.macs().sum().item<double>());
  int64_t ran = 0;
  for (const Routing& routing : whole.ledger.routings()) ran += count(routing);
  const int64_t always = 3 - std::ssize(config().blocks);
  const Ponder& blocks = whole.ledger.ponders().at(0);
  EXPECT_EQ(blocks.units.sum().item<int64_t>(), 120 * always + ran);
  EXPECT_EQ(blocks.least, always);
  EXPECT_EQ(blocks.most, 3);
  for (const Routing& routing : whole.ledger.routings()) {
    int64_t remembered = 0;
    for (const kernels::KeyValues& own : memory.blocks[static_cast<size_t>(routing.block)]) {
      remembered += own.tokens;
    }
    EXPECT_EQ(remembered, count(routing)) << "a block remembers the tokens that ran it";
  }
}

TEST_P(ModLaws, TheLedgerEqualsWhatTheKernelsCount) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  for (const double price : {-kInfinity, -1.0, 0.0, 1.0, kInfinity}) {
    Pass pass = executed(price);
    run(model, inputs, pass);
    EXPECT_EQ(pass.ledger.macs().sum().item<double>(), static_cast<double>(pass.context.macs));
    EXPECT_GE(static_cast<double>(pass.context.macs), pass.ledger.deciding());
    for (const Routing& routing : pass.ledger.routings()) {
      if (std::isinf(price)) {
        EXPECT_EQ(count(routing), price < 0 ? 75 : 0);
      }
    }
  }
  Pass competing = executed();
  competing.compete = true;
  run(model, inputs, competing);
  EXPECT_EQ(competing.ledger.macs().sum().item<double>(),
            static_cast<double>(competing.context.macs));
}

TEST_P(ModLaws, AHigherPriceRoutesFewerTokens) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  // The first routed block is judged by the same states at any price.
  int64_t last = std::numeric_limits<int64_t>::max();
  for (const double price : {-9.0, -1.0, -0.3, 0.0, 0.3, 1.0, 9.0}) {
    Pass pass = executed(price);
    run(model, inputs, pass);
    EXPECT_LE(count(pass.ledger.routings()[0]), last);
    last = count(pass.ledger.routings()[0]);
  }
}

TEST_P(ModLaws, SavedAndLoadedItAnswersTheSameBitForBit) {
  const LoadedModel model = this->model();
  const TemporaryFolder folder;
  save_model(folder.path(), model);
  const LoadedModel loaded = load_model(folder.path());
  ASSERT_TRUE(loaded.mod);
  EXPECT_EQ(loaded.mod->to_json(), config().to_json());
  const Tensor inputs = tokens_of(kLengths, 4);
  Pass one = executed(), other = executed();
  EXPECT_TRUE(run(model, inputs, one).equal(run(loaded, inputs, other)));
}

TEST_P(ModLaws, EveryPartLearnsFromItsOwnLossOnly) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  const auto learning = [&](bool causal) {
    Pass pass;
    pass.form = Form::kRelaxed;
    const Tensor logits = model.model->forward(inputs, pass);
    Tensor loss = logits.square().mean();
    if (causal) {
      loss = at::zeros({});
      for (const Routing& routing : pass.ledger.routings()) loss = loss + routing.logits.sum();
    }
    for (const auto& [name, tensor] : model.model->parameters().all()) {
      tensor.mutable_grad() = Tensor();
    }
    loss.backward();
    std::map<std::string, double> gradients;
    for (const auto& [name, tensor] : model.model->parameters().all()) {
      const Tensor gradient = tensor.grad();
      gradients[name] = gradient.defined() ? gradient.abs().sum().item<double>() : 0.0;
    }
    return gradients;
  };
  for (const auto& [name, size] : learning(false)) {
    if (name.find(".predictor.") == std::string::npos) {
      EXPECT_GT(size, 0.0) << name;
    } else {
      EXPECT_EQ(size, 0.0) << name;
    }
  }
  if (config().random) return;
  const bool auxiliary = config().causal == CausalRouting::kAuxiliary;
  for (const auto& [name, size] : learning(true)) {
    if (!name.starts_with("mod.") && name.find("embed_tokens") == std::string::npos) continue;
    EXPECT_EQ(size > 0.0, name.find(".predictor.") != std::string::npos || auxiliary) << name;
  }
}

TEST_P(ModLaws, GeneratesWhatOneForwardWouldChoose) {
  const LoadedModel model = this->model();
  const std::vector<int64_t> prompt{3, 1, 4, 1, 5};
  const Generated generated = generate(model, 1.0, {prompt, {9, 2}}, {.most_tokens = 20});
  std::vector<int64_t> all = prompt;
  const std::vector<int64_t>& own = generated.sequences[0].tokens;
  all.insert(all.end(), own.begin(), own.end() - 1);
  const Tensor ids = at::tensor(all, at::kLong);
  Pass pass = executed();
  const Tensor logits = run(model, at::stack({ids, at::zeros_like(ids)}, 1).unsqueeze(0), pass);
  EXPECT_TRUE(logits[0].narrow(0, 4, 20).argmax(-1).equal(at::tensor(own, at::kLong)));
  EXPECT_LT(generated.sequences[0].macs, 1.1 * generated.sequences[0].dense_macs);
}

TEST(Mod, OfCapacityOneAndAnOffsetBeginsAsTheDenseModel) {
  for (const bool llama : {false, true}) {
    const LoadedModel dense = small_decoder(llama);
    const LoadedModel model =
        build_mod(dense, {.capacity = 1.0, .blocks = {0, 1, 2}, .offset = 1.0}, 3);
    const Tensor inputs = tokens_of(kLengths, 4);
    Pass competing = executed(), plain = executed();
    competing.compete = true;
    EXPECT_LT(
        (run(model, inputs, competing) - run(dense, inputs, plain)).abs().max().item<double>(),
        2e-5);
  }
}

/// The equation in plain operations: one sequence, block 1 routed.
TEST(Mod, IsAsDefined) {
  const at::NoGradGuard no_grad;
  const LoadedModel model = model_of(cases()[0]);
  const Tensor inputs = tokens_of({16}, 4);
  const Tensor weight = model.model->parameters().at("mod.1.router.weight")[0];
  class Definition : public DepthPolicy {
   public:
    explicit Definition(Tensor weight) : weight_(std::move(weight)) {}
    Tensor run(const Tensor& states, const Stack& stack, Pass& pass) const override {
      const Tensor before = stack.blocks[0]->forward(states, pass);
      const Tensor r = before.matmul(weight_);
      const Tensor chosen = std::get<0>(std::get<1>(r.topk(4)).sort());
      const kernels::Sequences all = std::exchange(pass.sequences, kernels::Sequences({4}));
      const Tensor selected = before.index_select(0, chosen);
      const Tensor added = stack.blocks[1]->forward(selected, pass) - selected;
      pass.sequences = all;
      Tensor after = before.clone();
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t row = chosen[i].item<int64_t>();
        after[row] = before[row] + r[row] * added[i];
      }
      return stack.readout(stack.blocks[2]->forward(after, pass), pass);
    }

   private:
    Tensor weight_;
  };
  const LoadedModel dense = small_decoder(false);
  const auto defined = build_model(
      dense.model->config(), "definition", std::make_unique<Parameters>(weights_of(*model.model)),
      dense_map,
      [&](const DepthSpec&, Parameters&) { return std::make_unique<Definition>(weight); });
  Pass competing = executed(), plain = executed();
  competing.compete = true;
  EXPECT_LT(
      (run(model, inputs, competing) - defined->forward(inputs, plain)).abs().max().item<double>(),
      2e-5);
}

TEST(Mod, DrawsOtherTokensInEveryTrainingPass) {
  const LoadedModel model = model_of(cases()[4]);
  const Tensor inputs = tokens_of({40}, 4);
  const auto drawn = [&](at::Generator generator) {
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.generator = std::move(generator);
    run(model, inputs, pass);
    return pass.ledger.routings()[0].chosen;
  };
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(5);
  const Tensor first = drawn(generator);
  EXPECT_EQ(first.sum().item<int64_t>(), 10);
  EXPECT_FALSE(first.equal(drawn(generator)));
}

LoadedModel train(const ModConfig& config, const fs::path& folder, double epochs,
                  int64_t stop = -1) {
  LoadedModel model = build_mod(small_decoder(true), config, 3);
  RuleLoader loader;
  Trainer trainer(folder, {kFinetunePhase}, model.model->parameters().all());
  if (stop >= 0) trainer.stop_after(stop);
  RoutingTraining options;
  options.finetune.epochs = epochs;
  options.finetune.learning_rate = 5e-3;
  options.finetune.checkpoint_seconds = 1e-9;
  train_routing(model, options, loader, trainer);
  return model;
}

TEST(ModTraining, StoppedAndResumedGivesTheSameWeights) {
  at::set_num_threads(1);
  for (const Case& each : cases()) {
    const TemporaryFolder whole, cut;
    const LoadedModel expected = train(each.config, whole.path(), 2);
    train(each.config, cut.path(), 2, 3);
    const LoadedModel resumed = train(each.config, cut.path(), 2);
    for (const auto& [name, tensor] : expected.model->parameters().all()) {
      EXPECT_TRUE(tensor.equal(resumed.model->parameters().at(name))) << each.name << " " << name;
    }
  }
}

TEST(ModTraining, OfARetrofitBeginsAsTheTeacherAndKeepsToIt) {
  at::set_num_threads(1);
  const LoadedModel teacher = small_decoder(true);
  LoadedModel model = build_mod(teacher, {.capacity = 0.25, .blocks = {1}, .offset = 1.0}, 3);
  const Tensor inputs = tokens_of({40}, 4);
  const auto chosen = [&](double slack) {
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.slack = slack;
    run(model, inputs, pass);
    return count(pass.ledger.routings()[0]);
  };
  EXPECT_EQ(chosen(1.0), 40);
  EXPECT_EQ(chosen(0.5), 25);
  EXPECT_EQ(chosen(0.0), 10);

  const TemporaryFolder folder;
  RuleLoader loader;
  Trainer trainer(folder.path(), {kFinetunePhase}, model.model->parameters().all());
  RoutingTraining options;
  options.teacher = &teacher;
  options.finetune.epochs = 30;
  options.finetune.learning_rate = 2e-3;
  train_routing(model, options, loader, trainer);
  const std::vector<json> figures = figures_in(folder.path());
  // The random teacher knows nothing of the rule, which is learned against it.
  EXPECT_LT(figures.front().at("distill"), 0.2);
  EXPECT_LT(figures.back().at("loss"), figures.front().at("loss"));
}

TEST(ModTraining, LearnsTheTextAndWhichTokensCompeteSuccessfully) {
  at::set_num_threads(1);
  const TemporaryFolder folder;
  train({.capacity = 0.25, .blocks = {1}}, folder.path(), 60);
  const std::vector<json> figures = figures_in(folder.path());
  EXPECT_GT(figures.front().at("loss"), 3.0);
  EXPECT_LT(figures.back().at("loss"), 0.3);
  EXPECT_LT(figures.front().at("routed"), 0.85);
  EXPECT_GT(figures.back().at("routed"), 0.9);
}

TEST(Mod, RefusesWhatMakesNoSense) {
  const LoadedModel dense = small_decoder(true);
  const auto message = [&](const ModConfig& config) {
    return error_of([&] { build_mod(dense, config, 1); });
  };
  EXPECT_THAT(message({.capacity = 0.0, .blocks = {1}}), HasSubstr("capacity of 0"));
  EXPECT_THAT(message({.capacity = 1.5, .blocks = {1}}), HasSubstr("capacity of 1.5"));
  EXPECT_THAT(message({.capacity = NAN, .blocks = {1}}), HasSubstr("capacity of nan"));
  EXPECT_THAT(message({.blocks = {3}}), HasSubstr("block 3"));
  EXPECT_THAT(message({.blocks = {1, 1}}), HasSubstr("twice"));
  EXPECT_EQ(build_mod(dense, {}, 1).mod->blocks, (std::vector<int64_t>{1}));
  EXPECT_THROW(build_mod(testing_models::small_bert(), {.blocks = {1}}, 1), Error);
  EXPECT_THROW(ModConfig::from_json({{"causal", "never"}, {"blocks", {1}}}, "config"), Error);
  EXPECT_THROW(ModConfig::from_json({{"causal", "predictor"}, {"blocks", {"1"}}}, "config"), Error);
  EXPECT_EQ(ModConfig::every_other(5), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(Mod::room(0.125, 1), 1);
  EXPECT_EQ(Mod::room(0.125, 100), 13);
  EXPECT_EQ(Mod::room(1.0, 7), 7);
}

}  // namespace
}  // namespace pace
