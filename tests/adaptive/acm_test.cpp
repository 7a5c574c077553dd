#include "pace/adaptive/acm.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tests/error_of.h"

namespace pace {
namespace {

at::Generator seeded(uint64_t seed) { return at::make_generator<at::CPUGeneratorImpl>(seed); }

struct Module {
  Parameters parameters{no_weights(), [](const std::string&) { return true; }, 3};
  AcmShape shape;
  std::unique_ptr<Acm> acm;

  explicit Module(int64_t minimum = 0, bool dense_last = false) {
    shape.in = 6;
    shape.out = 5;
    shape.learners = 4;
    shape.width = 3;
    shape.dense_last = dense_last;
    shape.gate.in = 6;
    shape.gate.hidden = 8;
    shape.gate.learners = 4;
    shape.gate.minimum = minimum;
    acm = std::make_unique<Acm>(shape, "layer.0.mlp", "acm.layer.0.mlp", parameters);
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : parameters.all()) {
      tensor.add_(at::randn(tensor.sizes(), seeded(8)) * 0.3);
    }
  }

  Tensor run(const Tensor& tokens, Pass& pass) const {
    pass.ledger.open(kernels::Sequences({tokens.size(0)}));
    return acm->forward(tokens, pass);
  }
};

/// Both kinds of a last choice: all learners together, or the dense map itself.
class AcmOfEitherEnd : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(DenseLast, AcmOfEitherEnd, ::testing::Bool());

TEST(Acm, NeverChoosesLessThanTheMinimum) {
  const at::NoGradGuard no_grad;
  const Module module(2);
  Pass cheap;
  cheap.price = 1e6;
  module.run(at::randn({27, 6}, seeded(1)), cheap);
  EXPECT_TRUE(cheap.ledger.decisions()[0].choice.eq(2).all().item<bool>());
}

TEST(Acm, TheLastChoiceOfAProjectionIsTheDenseMap) {
  const at::NoGradGuard no_grad;
  const Module module(0, true);
  const Tensor tokens = at::randn({27, 6}, seeded(1));
  for (Form form : {Form::kExecuted, Form::kRelaxed}) {
    Pass dear;
    dear.form = form;
    dear.price = -1e6;
    const Tensor y = module.run(tokens, dear);
    EXPECT_TRUE(at::allclose(
        y, at::linear(tokens, module.acm->dense_weight(), module.acm->dense_bias()), 1e-5, 1e-5));
    EXPECT_TRUE(dear.ledger.decisions()[0].choice.eq(4).all().item<bool>());
    EXPECT_EQ(module.acm->choice_cost()[4].item<double>(), 6 * 5);
  }
}

TEST_P(AcmOfEitherEnd, ExecutedEqualsRelaxedWhereTokensDiffer) {
  const at::NoGradGuard no_grad;
  const Module module(0, GetParam());
  const Tensor tokens = at::randn({160, 6}, seeded(1)) * 3;
  Pass executed, relaxed;
  relaxed.form = Form::kRelaxed;
  const Tensor y = module.run(tokens, executed);
  EXPECT_TRUE(at::allclose(y, module.run(tokens, relaxed), 1e-4, 1e-5));
  const Tensor choice = executed.ledger.decisions()[0].choice;
  EXPECT_TRUE(choice.eq(4).any().item<bool>() && choice.lt(4).any().item<bool>());
  EXPECT_EQ(executed.ledger.macs().sum().item<double>(),
            static_cast<double>(executed.context.macs));
}

TEST_P(AcmOfEitherEnd, GradientsOfTheLearnersAgreeWithFiniteDifferences) {
  Module module(0, GetParam());
  const Tensor tokens = at::randn({8, 6}, seeded(2));
  const Tensor weights = at::randn({8, 5}, seeded(3));
  const auto loss = [&] {
    Pass pass;
    pass.form = Form::kRelaxed;
    return (module.run(tokens, pass) * weights).sum();
  };
  loss().backward();
  std::vector<std::string> names{"in_weight", "in_bias", "out_weight", "learner_bias", "bias"};
  if (GetParam()) names.insert(names.end(), {"dense_weight", "dense_bias"});
  for (const std::string& name : names) {
    const Tensor parameter = module.parameters.at("acm.layer.0.mlp." + name);
    const at::NoGradGuard no_grad;
    const Tensor flat = parameter.view(-1);
    for (int64_t i = 0; i < flat.numel(); i += 3) {
      const double step = 1e-2, value = flat[i].item<double>();
      flat[i].fill_(value + step);
      const double up = loss().item<double>();
      flat[i].fill_(value - step);
      const double down = loss().item<double>();
      flat[i].fill_(value);
      const double slope = (up - down) / (2 * step);
      EXPECT_NEAR(parameter.grad().view(-1)[i].item<double>(), slope, 2e-2) << name << " " << i;
    }
  }
}

TEST(Acm, TheGateValueIsPartOfTheOutput) {
  Module module;
  Pass pass;
  pass.form = Form::kRelaxed;
  module.run(at::randn({8, 6}, seeded(2)), pass).sum().backward();
  const Tensor gradient = module.parameters.at("acm.layer.0.mlp.gate.out_weight").grad();
  EXPECT_GT(gradient.abs().max().item<double>(), 0.0);
}

TEST(Gate, SamplesInProportionToTheSoftmax) {
  const at::NoGradGuard no_grad;
  Module module;
  const Tensor tokens = at::randn({1, 6}, seeded(4)).expand({20000, 6});
  Pass pass;
  pass.form = Form::kRelaxed;
  pass.noise = 1.0;
  pass.generator = seeded(6);
  const Tensor frequency = module.acm->gate().relaxed(tokens, pass).mean(0);
  Pass plain;
  const Tensor expected = at::softmax(module.acm->gate().logits(tokens, plain)[0], -1);
  EXPECT_LT((frequency - expected).abs().max().item<double>(), 0.02);
}

TEST(Gate, AHigherPriceNeverBuysMore) {
  const at::NoGradGuard no_grad;
  const Module module;
  const Tensor tokens = at::randn({50, 6}, seeded(4));
  Tensor last = at::full({50}, 4, at::kLong);
  for (double price = -8; price <= 8; price += 0.25) {
    Pass pass;
    pass.price = price;
    const Tensor k = module.acm->gate().best(tokens, pass);
    EXPECT_TRUE((k <= last).all().item<bool>()) << "at price " << price;
    last = k;
  }
}

TEST(Gate, BeginsAsTheStaticGate) {
  const at::NoGradGuard no_grad;
  Parameters parameters{no_weights(), [](const std::string&) { return true; }, 3};
  GateShape shape{.in = 6, .hidden = 8, .learners = 4, .minimum = 1, .phase = 0.3};
  const Gate learned(shape, "learned", parameters);
  shape.kind = GateKind::kStatic;
  const Gate fixed(shape, "static", parameters);
  const Tensor tokens = at::randn({20, 6}, seeded(2));
  for (double price = 0; price <= 1; price += 0.125) {
    Pass pass;
    pass.price = price;
    EXPECT_TRUE(at::equal(learned.logits(tokens, pass), fixed.logits(tokens, pass)));
    EXPECT_TRUE(at::equal(learned.best(tokens, pass), fixed.best(tokens, pass)));
  }
}

TEST(AcmConfig, SurvivesJson) {
  AcmConfig config;
  config.kinds = {MapKind::kMlp, MapKind::kOutput};
  config.learners = 8;
  config.gate = GateKind::kStatic;
  config.temperature = 0.5;
  const AcmConfig again = AcmConfig::from_json(config.to_json(), "test");
  EXPECT_EQ(again.to_json(), config.to_json());
}

TEST(AcmConfig, RefusesWhatMakesNoSense) {
  const auto with = [](const char* field, const nlohmann::json& value) {
    nlohmann::json object = AcmConfig().to_json();
    object[field] = value;
    return error_of([&] { AcmConfig::from_json(object, "config.json"); });
  };
  EXPECT_EQ(with("learners", 0), "config.json: learners is 0; it must be in 1..4096");
  EXPECT_EQ(with("minimum_mlp", 9), "config.json: a minimum of 9 learners is outside 0..4");
  EXPECT_EQ(with("gate", "loud"),
            "config.json: gate is \"loud\"; it must be \"learned\" or \"static\"");
  EXPECT_NE(with("maps", {"mlp", "hat"}), "(no error)");
  EXPECT_NE(with("maps", nlohmann::json::array()), "(no error)");
  EXPECT_NE(with("temperature", 0.0), "(no error)");
  EXPECT_NE(with("learners", "four"), "(no error)");
}

TEST(AcmConfig, SaysWhenSizesCannotBeDivided) {
  AcmConfig config;
  config.learners = 7;
  MapSpec spec;
  spec.site = "layer.2.mlp";
  spec.in = spec.out = 16;
  spec.hidden = 64;
  EXPECT_EQ(
      error_of([&] { config.shape(spec); }),
      "layer.2.mlp: 64 hidden units cannot be divided into 7 learners; choose a divisor of 64");
  spec.kind = MapKind::kQuery;
  spec.site = "layer.2.query";
  spec.hidden = 0;
  config.learners = 9;
  EXPECT_EQ(error_of([&] { config.shape(spec); }),
            "layer.2.query: a projection of 16 x 16 is too small for 9 learners; use at most 8");
}

}  // namespace
}  // namespace pace
