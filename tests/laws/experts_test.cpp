// The laws of docs/architecture.md for experts in the place of MLPs, alone and under
// Mixture-of-Depths: staged and integrated mixture-of-depths-and-experts.

#include "pace/adaptive/experts.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>

#include "pace/models/factory.h"
#include "pace/train/autocast.h"
#include "pace/train/routing_training.h"
#include "tests/error_of.h"
#include "tests/laws/rule_texts.h"
#include "tests/models/small_decoder.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using testing::HasSubstr;
using testing_models::small_decoder;
using testing_models::tokens_of;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::vector<int64_t> kLengths{11, 40, 1, 23};

struct Case {
  const char* name;
  bool llama;
  ExpertsConfig config;
  std::optional<ModConfig> mod = {};
};

std::vector<Case> cases() {
  return {{"Gpt2", false, {.experts = 3}},
          {"LlamaNoOp", true, {.experts = 2, .blocks = {0, 2}, .no_op = 0.5}},
          {"Gpt2OneOrNone", false, {.experts = 1, .no_op = 0.3}},
          {"LlamaStaged", true, {.experts = 2}, ModConfig{.capacity = 0.25, .blocks = {1}}},
          {"Gpt2Both",
           false,
           {.experts = 2, .no_op = 0.5},
           ModConfig{.capacity = 0.5, .blocks = {1, 2}}}};
}

LoadedModel untouched(const Case& made) {
  const LoadedModel dense = small_decoder(made.llama);
  if (!made.mod) return build_experts(dense, made.config, 3);
  return build_experts(build_mod(dense, *made.mod, 3), made.config, 3);
}

/// One whose experts are not alike, nor are the tokens that choose them.
LoadedModel model_of(const Case& made) {
  LoadedModel model = untouched(made);
  const at::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(12);
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    if (name.ends_with(".bias")) tensor.zero_();
    if (!name.starts_with("mod.") && !name.starts_with("experts.")) continue;
    tensor.add_(at::randn(tensor.sizes(), generator) * 0.3);
  }
  return model;
}

Tensor run(const LoadedModel& model, const Tensor& inputs, Pass& pass) {
  const at::NoGradGuard no_grad;
  return model.model->forward(inputs, pass);
}

Tensor answers(const LoadedModel& model, const Tensor& inputs, double price = 0.0) {
  Pass pass;
  pass.price = price;
  return run(model, inputs, pass);
}

/// Tokens of a block that ran an expert.
int64_t count(const Dispatch& dispatch) {
  return dispatch.choice.lt(dispatch.experts).sum().item<int64_t>();
}

double distance(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

class ExpertLaws : public testing::TestWithParam<Case> {
 protected:
  LoadedModel model() const { return model_of(GetParam()); }
  bool no_op() const { return GetParam().config.no_op > 0.0; }
};
INSTANTIATE_TEST_SUITE_P(Experts, ExpertLaws, testing::ValuesIn(cases()),
                         [](const auto& named) { return std::string(named.param.name); });

TEST_P(ExpertLaws, ExecutedEqualsRelaxed) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  Pass executed, relaxed;
  executed.compete = true;  // of routed blocks
  relaxed.form = Form::kRelaxed;
  const Tensor given = run(model, inputs, executed);
  const Tensor expected = model.model->forward(inputs, relaxed);
  EXPECT_LT(distance(given, expected), 1e-4);
  const std::vector<Dispatch>&one = executed.ledger.dispatches(),
        &other = relaxed.ledger.dispatches();
  ASSERT_EQ(one.size(), model.experts->blocks.size());
  ASSERT_EQ(other.size(), one.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].block, model.experts->blocks[i]);
    EXPECT_TRUE(one[i].choice.equal(other[i].choice));
    EXPECT_EQ(one[i].probabilities.size(1), GetParam().config.experts + (no_op() ? 1 : 0));
    EXPECT_GT(std::get<0>(at::_unique(one[i].choice)).numel(), 1) << "all tokens chose alike";
  }
}

TEST_P(ExpertLaws, ASequenceHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  Pass together;
  const Tensor expected = run(model, inputs, together);
  const int before = at::get_num_threads();
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    for (int64_t i = 0; i < inputs.size(0); ++i) {
      const int64_t length = kLengths[static_cast<size_t>(i)];
      Pass alone;
      const Tensor own = run(model, inputs.narrow(0, i, 1).narrow(1, 0, length), alone);
      EXPECT_TRUE(own[0].equal(expected[i].narrow(0, 0, length)));
      EXPECT_EQ(alone.ledger.macs()[0].item<double>(), together.ledger.macs()[i].item<double>());
    }
  }
  at::set_num_threads(before);
}

TEST_P(ExpertLaws, TokenByTokenItIsAsInOneGo) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of({40, 40, 40}, 4);
  Pass whole;
  const Tensor expected = run(model, inputs, whole);
  Memory memory = *model.model->remember(3);
  double macs = 0.0;
  int64_t done = 0;
  for (const int64_t tokens : {7, 1, 1, 1, 5, 1, 1, 22, 1}) {
    Pass next;
    next.memory = &memory;
    EXPECT_TRUE(
        run(model, inputs.narrow(1, done, tokens), next).equal(expected.narrow(1, done, tokens)))
        << done;
    macs += next.ledger.macs().sum().item<double>();
    done += tokens;
  }
  EXPECT_EQ(done, 40);
  EXPECT_EQ(macs, whole.ledger.macs().sum().item<double>());
}

TEST_P(ExpertLaws, TheLedgerEqualsWhatTheKernelsCount) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  for (const double price : {-kInfinity, -1.0, 0.0, 1.0, kInfinity}) {
    Pass pass;
    pass.price = price;
    run(model, inputs, pass);
    EXPECT_EQ(pass.ledger.macs().sum().item<double>(), static_cast<double>(pass.context.macs));
    EXPECT_GE(static_cast<double>(pass.context.macs), pass.ledger.deciding());
    for (const Dispatch& dispatch : pass.ledger.dispatches()) {
      const int64_t rows = dispatch.choice.numel();
      if (std::isinf(price)) {
        EXPECT_EQ(count(dispatch), no_op() && price > 0.0 ? 0 : rows);
      }
    }
  }
}

TEST_P(ExpertLaws, AHigherPriceRunsFewerExperts) {
  const LoadedModel model = this->model();
  const Tensor inputs = tokens_of(kLengths, 4);
  std::vector<int64_t> counts;
  for (const double price : {-9.0, -1.0, -0.3, 0.0, 0.3, 1.0, 9.0}) {
    Pass pass;
    pass.price = price;
    run(model, inputs, pass);
    // The first block's experts are chosen from the same states at any price.
    counts.push_back(count(pass.ledger.dispatches()[0]));
  }
  EXPECT_TRUE(std::ranges::is_sorted(counts, std::greater<>()));
  EXPECT_EQ(counts.front(), 75);
  EXPECT_EQ(counts.back(), no_op() ? 0 : 75);
}

TEST_P(ExpertLaws, SavedAndLoadedItAnswersTheSameBitForBit) {
  const LoadedModel model = this->model();
  const TemporaryFolder folder;
  save_model(folder.path(), model);
  const LoadedModel loaded = load_model(folder.path());
  ASSERT_TRUE(loaded.experts);
  EXPECT_EQ(loaded.experts->to_json(), model.experts->to_json());
  EXPECT_EQ(loaded.mod.has_value(), GetParam().mod.has_value());
  const Tensor inputs = tokens_of(kLengths, 4);
  EXPECT_TRUE(answers(model, inputs).equal(answers(loaded, inputs)));
}

TEST_P(ExpertLaws, BeginsAboutAsWhatItWasMadeOf) {
  const Case& made = GetParam();
  const LoadedModel dense = small_decoder(made.llama);
  const LoadedModel start = made.mod ? build_mod(dense, *made.mod, 3) : small_decoder(made.llama);
  const LoadedModel model = untouched(made);
  {
    // Undecided routers; where there is a no-op, it is priced out.
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : model.model->parameters().all()) {
      if (name.starts_with("experts.") && name.ends_with("router.weight")) tensor.zero_();
    }
  }
  const Tensor inputs = tokens_of(kLengths, 4);
  Pass pass, whole;
  pass.compete = whole.compete = true;
  pass.price = -1.0;
  EXPECT_LT(distance(run(model, inputs, pass), run(start, inputs, whole)), 1e-4);
}

/// Every expert on every token, in LibTorch's operations.
class Definition : public TokenMap {
 public:
  Definition(const ExpertsConfig& config, const MapSpec& spec, Parameters& parameters)
      : spec_(spec) {
    const std::string prefix = fmt::format("experts.{}.", spec.block);
    const auto add = [&](const std::string& name, int64_t in, int64_t out) {
      return parameters.add(prefix + name + ".weight",
                            spec.transposed ? at::IntArrayRef{in, out} : at::IntArrayRef{out, in});
    };
    const auto choices = static_cast<int64_t>(config.wanted().size());
    router_ = parameters.add(prefix + "router.weight", {choices, spec.in});
    for (int64_t i = 0; i < config.experts; ++i) {
      const std::string own = std::to_string(i) + ".";
      Expert expert;
      expert.in = add(own + "in", spec.in, spec.hidden);
      expert.out = add(own + "out", spec.hidden, spec.out);
      if (spec.gated) expert.gate = add(own + "gate", spec.in, spec.hidden);
      if (spec.bias) {
        expert.in_bias = parameters.add(prefix + own + "in.bias", {spec.hidden});
        expert.out_bias = parameters.add(prefix + own + "out.bias", {spec.out});
      }
      experts_.push_back(expert);
    }
  }

  Tensor forward(const Tensor& tokens, Pass&) const override {
    const Tensor logits = at::linear(tokens, router_), p = logits.softmax(1);
    const Tensor chosen = at::one_hot(logits.argmax(1), logits.size(1)).to(at::kFloat);
    Tensor sum = at::zeros_like(tokens);
    for (int64_t i = 0; i < std::ssize(experts_); ++i) {
      const Tensor weight = static_cast<double>(logits.size(1)) * (p * chosen).select(1, i);
      sum = sum + weight.unsqueeze(1) * of(experts_[static_cast<size_t>(i)], tokens);
    }
    return sum;
  }

 private:
  struct Expert {
    Tensor in, in_bias, out, out_bias, gate;
  };

  Tensor of(const Expert& expert, const Tensor& tokens) const {
    const auto product = [&](const Tensor& x, const Tensor& weight, const Tensor& bias) {
      return at::linear(x, spec_.transposed ? weight.t() : weight, bias);
    };
    const Tensor into = product(tokens, expert.in, expert.in_bias);
    const Tensor hidden =
        spec_.gated ? at::silu(product(tokens, expert.gate, {})) * into : at::gelu(into, "tanh");
    return product(hidden, expert.out, expert.out_bias);
  }

  MapSpec spec_;
  Tensor router_;
  std::vector<Expert> experts_;
};

/// The gradient of every parameter.
std::map<std::string, Tensor> gradients(const Model& model, const Tensor& inputs) {
  Pass pass;
  pass.form = Form::kRelaxed;
  model.forward(inputs, pass).square().mean().backward();
  std::map<std::string, Tensor> all;
  for (const auto& [name, tensor] : model.parameters().all()) {
    const Tensor gradient = tensor.grad();
    all[name] = gradient.defined() ? gradient : at::zeros_like(tensor);
  }
  return all;
}

TEST(Experts, AreAsDefinedAndSoAreTheirGradients) {
  for (const bool llama : {false, true}) {
    const LoadedModel model = model_of({"", llama, {.experts = 2, .no_op = 0.5}});
    const auto defined = build_model(
        model.model->config(), "definition", std::make_unique<Parameters>(weights_of(*model.model)),
        [&](const MapSpec& spec, Parameters& parameters) -> std::unique_ptr<TokenMap> {
          if (spec.kind != MapKind::kMlp) return dense_map(spec, parameters);
          return std::make_unique<Definition>(*model.experts, spec, parameters);
        });
    const Tensor inputs = tokens_of(kLengths, 4);
    Pass one, other;
    one.form = other.form = Form::kRelaxed;
    EXPECT_LT(distance(model.model->forward(inputs, one), defined->forward(inputs, other)), 2e-5);
    const std::map<std::string, Tensor> own = gradients(*model.model, inputs);
    for (const auto& [name, expected] : gradients(*defined, inputs)) {
      const double size = expected.abs().max().item<double>();
      EXPECT_GT(size, 0.0) << name;
      EXPECT_LT(distance(own.at(name), expected), 1e-4 * size + 1e-7) << name;
    }
  }
}

TEST(Experts, OneAloneIsTheDenseModelBitForBit) {
  for (const bool llama : {false, true}) {
    const LoadedModel dense = small_decoder(llama);
    const Tensor inputs = tokens_of(kLengths, 4);
    EXPECT_TRUE(
        answers(build_experts(dense, {.experts = 1}, 3), inputs).equal(answers(dense, inputs)));
  }
}

TEST(Experts, WhereNoneRunsOnlyTheAttentionIsLeft) {
  for (const bool llama : {false, true}) {
    const LoadedModel dense = small_decoder(llama);
    const LoadedModel model = build_experts(dense, {.experts = 2, .no_op = 0.5}, 3);
    {
      const at::NoGradGuard no_grad;
      for (const auto& [name, tensor] : dense.model->parameters().all()) {
        const bool out = name.find("mlp.c_proj") != std::string::npos ||
                         name.find("mlp.down_proj") != std::string::npos;
        if (out) tensor.zero_();
      }
    }
    const Tensor inputs = tokens_of(kLengths, 4);
    EXPECT_TRUE(answers(model, inputs, kInfinity).equal(answers(dense, inputs)));
  }
}

TEST(Experts, AndRoutedBlocksComposeInEitherOrder) {
  const LoadedModel dense = small_decoder(true);
  const ModConfig mod{.capacity = 0.5, .blocks = {1}};
  const ExpertsConfig experts{.experts = 2, .no_op = 0.5};
  const LoadedModel one = build_experts(build_mod(dense, mod, 3), experts, 4);
  const LoadedModel other = build_mod(build_experts(dense, experts, 4), mod, 3);
  ASSERT_TRUE(one.mod && one.experts && other.mod && other.experts);
  const Tensor inputs = tokens_of(kLengths, 4);
  EXPECT_TRUE(answers(one, inputs).equal(answers(other, inputs)));
}

TEST(Experts, ChooseByFloat32UnderAutocastToo) {
  MapSpec spec;
  spec.in = spec.out = 6;
  spec.hidden = 12;
  spec.dense_names = {"in", "out"};
  Parameters parameters(no_weights(), [](const std::string&) { return true; });
  const std::unique_ptr<TokenMap> experts =
      experts_builder({.experts = 3, .blocks = {0}})(spec, parameters);
  const Tensor tokens = at::randn({50, 6}, at::make_generator<at::CPUGeneratorImpl>(5)) * 100.0;
  const auto probabilities = [&](bool half) {
    const Autocast autocast(half, at::kCPU);
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.sequences = kernels::Sequences({50});
    pass.ledger.open(pass.sequences);
    experts->forward(tokens, pass);
    return pass.ledger.dispatches()[0].probabilities;
  };
  EXPECT_TRUE(probabilities(true).equal(probabilities(false)));
}

LoadedModel train(const Case& made, const fs::path& folder, double epochs, int64_t stop = -1,
                  double balance = 0.01) {
  LoadedModel model = untouched(made);
  laws::RuleLoader loader;
  Trainer trainer(folder, {kFinetunePhase}, model.model->parameters().all());
  if (stop >= 0) trainer.stop_after(stop);
  RoutingTraining options;
  options.balance = balance;
  options.finetune.epochs = epochs;
  options.finetune.learning_rate = 5e-3;
  options.finetune.checkpoint_seconds = 1e-9;
  train_routing(model, options, loader, trainer);
  return model;
}

TEST(ExpertTraining, StoppedAndResumedGivesTheSameWeights) {
  at::set_num_threads(1);
  for (const Case& each : cases()) {
    const TemporaryFolder whole, cut;
    const LoadedModel expected = train(each, whole.path(), 2);
    train(each, cut.path(), 2, 3);
    const LoadedModel resumed = train(each, cut.path(), 2);
    for (const auto& [name, tensor] : expected.model->parameters().all()) {
      EXPECT_TRUE(tensor.equal(resumed.model->parameters().at(name))) << each.name << " " << name;
    }
  }
}

TEST(ExpertTraining, LearnsTheTextAndKeepsTheWantedShares) {
  at::set_num_threads(1);
  const TemporaryFolder folder;
  const LoadedModel model =
      train({"", true, {.experts = 2, .no_op = 0.8}}, folder.path(), 60, -1, 0.1);
  const std::vector<json> figures = laws::figures_in(folder.path());
  EXPECT_GT(figures.front().at("loss"), 3.0);
  EXPECT_LT(figures.back().at("loss"), 0.3);
  EXPECT_FALSE(figures.back().contains("routed"));
  EXPECT_GT(figures.front().at("balance"), 2.0) << "where the choices are equally frequent";
  EXPECT_LT(figures.back().at("balance"), 1.1);
  Pass pass;
  run(model, laws::RuleLoader().next()->inputs, pass);
  for (const Dispatch& dispatch : pass.ledger.dispatches()) {
    EXPECT_NEAR(static_cast<double>(count(dispatch)) / 120.0, 0.2, 0.1) << dispatch.block;
  }
}

TEST(Experts, RefuseWhatMakesNoSense) {
  const LoadedModel dense = small_decoder(true);
  const auto message = [&](const ExpertsConfig& config) {
    return error_of([&] { build_experts(dense, config, 1); });
  };
  EXPECT_THAT(message({.experts = 0}), HasSubstr("0 experts"));
  EXPECT_THAT(message({.experts = 5000}), HasSubstr("5000 experts"));
  EXPECT_THAT(message({.no_op = 1.0}), HasSubstr("a no-op for 1 of the tokens"));
  EXPECT_THAT(message({.no_op = -0.1}), HasSubstr("a no-op for -0.1"));
  EXPECT_THAT(message({.no_op = NAN}), HasSubstr("a no-op for nan"));
  EXPECT_THAT(message({.blocks = {3}}), HasSubstr("block 3"));
  EXPECT_THAT(message({.blocks = {1, 1}}), HasSubstr("twice"));
  const LoadedModel made = build_experts(dense, {}, 1);
  EXPECT_EQ(made.experts->blocks, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_THAT(error_of([&] { build_experts(made, {}, 1); }), HasSubstr("experts already"));
  EXPECT_THAT(error_of([] { build_experts(testing_models::small_bert(), {}, 1); }),
              HasSubstr("gpt2 and llama"));
  EXPECT_THROW(ExpertsConfig::from_json({{"experts", "two"}, {"blocks", {1}}}, "config"), Error);
  EXPECT_THROW(ExpertsConfig::from_json({{"experts", 2}}, "config"), Error);
}

TEST(Experts, OfAFolderThatContradictsItselfAreRefused) {
  const LoadedModel model = build_experts(small_decoder(true), {.experts = 2}, 1);
  const TemporaryFolder folder;
  save_model(folder.path(), model);
  const auto message = [&](const auto& change) {
    json config = full_config(model);
    change(config["pace"]);
    write_text(folder.path() / "config.json", config.dump());
    return error_of([&] { load_model(folder.path()); });
  };
  EXPECT_THAT(message([](json& pace) { pace["experts"]["experts"] = 3; }),
              HasSubstr("has shape [2, 28], but the config asks for [3, 28]"));
  EXPECT_THAT(message([](json& pace) {
                pace["experts"]["blocks"] = {0, 1};
              }),
              HasSubstr("'model.layers.2.mlp.up_proj.weight' of shape [45, 28] is missing"));
  EXPECT_THAT(message([](json& pace) {
                pace["experts"]["blocks"] = {0, 7};
              }),
              HasSubstr("block 7 is to have experts"));
  EXPECT_THAT(message([](json& pace) { pace["acm"] = AcmConfig().to_json(); }),
              HasSubstr("both 'acm' and 'experts'"));
}

}  // namespace
}  // namespace pace
