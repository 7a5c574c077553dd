#include "pace/train/acm_phases.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "pace/train/optimizer.h"

namespace pace {
namespace {

at::Generator seeded(uint64_t seed) { return at::make_generator<at::CPUGeneratorImpl>(seed); }

struct Module {
  Parameters parameters{no_weights(), [](const std::string&) { return true; }, 3};
  std::unique_ptr<Acm> acm;

  explicit Module(bool dense_last = false) {
    AcmShape shape;
    shape.in = 6;
    shape.out = 5;
    shape.learners = 3;
    shape.width = 4;
    shape.dense_last = dense_last;
    shape.gate.learners = 3;
    shape.gate.in = 6;
    acm = std::make_unique<Acm>(shape, "site", "acm", parameters);
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : parameters.all()) {
      tensor.add_(at::randn(tensor.sizes(), seeded(8)) * 0.3);
    }
  }
};

/// The same loss with every partial sum written out, for autograd.
Tensor plain_loss(const Acm& acm, const Tensor& in, const Tensor& target,
                  const std::vector<double>& weights) {
  const Tensor hidden = at::gelu(at::linear(in, acm.in_weight(), acm.in_bias())) - acm.centre();
  const double scale = 1.0 / target.var(0, false).sum().item<double>() / in.size(0);
  Tensor sum = acm.bias().expand_as(target);
  Tensor loss = (sum - target).square().sum() * weights[0];
  for (int64_t n = 0; n < acm.shape().learners; ++n) {
    const int64_t width = acm.shape().width;
    sum =
        sum + acm.learner_bias()[n] +
        hidden.narrow(1, n * width, width).matmul(acm.out_weight().narrow(1, n * width, width).t());
    loss = loss + (sum - target).square().sum() * weights[n + 1];
  }
  return loss * scale;
}

TEST(LearnerLoss, HasTheGradientsOfTheWrittenOutLoss) {
  Module module;
  const Tensor in = at::randn({9, 6}, seeded(1)), target = at::randn({9, 5}, seeded(2));
  const std::vector<double> weights{0.1, 0.2, 0.3, 0.4};
  const double loss = learner_loss(*module.acm, in, target, weights);
  std::map<std::string, Tensor> ours;
  for (const auto& [name, tensor] : module.parameters.all()) {
    if (tensor.grad().defined()) ours[name] = tensor.grad().clone();
    tensor.mutable_grad() = Tensor();
  }
  const Tensor expected = plain_loss(*module.acm, in, target, weights);
  expected.backward();
  EXPECT_NEAR(loss, expected.item<double>(), 1e-5);
  EXPECT_EQ(ours.size(), 5U);
  for (const auto& [name, gradient] : ours) {
    EXPECT_TRUE(at::allclose(gradient, module.parameters.at(name).grad(), 1e-4, 1e-5)) << name;
  }
}

TEST(LearnerLoss, AddsToGradientsThatAreThere) {
  Module module;
  const Tensor in = at::randn({9, 6}, seeded(1)), target = at::randn({9, 5}, seeded(2));
  const std::vector<double> weights{0.0, 0.0, 0.5, 0.5};
  learner_loss(*module.acm, in, target, weights);
  const Tensor once = module.acm->in_weight().grad().clone();
  learner_loss(*module.acm, in, target, weights);
  EXPECT_TRUE(at::allclose(module.acm->in_weight().grad(), 2 * once));
}

TEST(Phase1Weights, SumToOneAndFavourTheDenseMap) {
  AcmShape shape;
  shape.learners = 4;
  shape.gate.minimum = 1;
  EXPECT_EQ(phase1_weights(shape, 0.4), (std::vector<double>{0, 0.6 / 3, 0.6 / 3, 0.6 / 3, 0.4}));
  shape.gate.minimum = 4;
  EXPECT_EQ(phase1_weights(shape, 0.4), (std::vector<double>{0, 0, 0, 0, 1}));
  shape.gate.minimum = 2;
  shape.dense_last = true;
  EXPECT_EQ(phase1_weights(shape, 0.4), (std::vector<double>{0, 0, 0.5, 0.5}));
}

TEST(ChoiceErrors, AreTheDistancesOfEachPartialSum) {
  const at::NoGradGuard no_grad;
  const Module module;
  const Tensor in = at::randn({4, 6}, seeded(1)), target = at::randn({4, 5}, seeded(2));
  const Tensor errors = choice_errors(*module.acm, in, target);
  const Acm& acm = *module.acm;
  const Tensor hidden = at::gelu(at::linear(in, acm.in_weight(), acm.in_bias())) - acm.centre();
  for (int64_t k = 0; k <= 3; ++k) {
    const Tensor y = acm.bias() + acm.learner_bias().slice(0, 0, k).sum(0) +
                     hidden.slice(1, 0, 4 * k).matmul(acm.out_weight().slice(1, 0, 4 * k).t());
    EXPECT_TRUE(at::allclose(errors.select(1, k), (y - target).square().sum(1), 1e-4, 1e-4));
  }
}

TEST(ChoiceErrors, EndWithTheDenseMapWhereItIsTheLastChoice) {
  const at::NoGradGuard no_grad;
  const Module module(true);
  const Tensor in = at::randn({4, 6}, seeded(1));
  const Tensor target = at::linear(in, module.acm->dense_weight(), module.acm->dense_bias()) + 0.5;
  const Tensor errors = choice_errors(*module.acm, in, target);
  EXPECT_EQ(errors.size(1), 4);
  EXPECT_TRUE(at::allclose(errors.select(1, 3), at::full({4}, 5 * 0.25), 1e-4, 1e-4));
  EXPECT_GT(errors.slice(1, 0, 3).min().item<float>(), 1e-3);
}

TEST(Acm, ExecutesTheWeightsThatTrainingHasChanged) {
  Module module;
  const Tensor tokens = at::randn({8, 6}, seeded(2));
  const auto run = [&](Form form) {
    Pass pass;
    pass.form = form;
    pass.price = -1e6;
    pass.ledger.open(kernels::Sequences({tokens.size(0)}));
    return module.acm->forward(tokens, pass);
  };
  const Tensor before = run(Form::kExecuted);
  run(Form::kRelaxed).sum().backward();
  AdamW({{module.parameters.all(), 0.1, 0.0}}, 0.0).step(1.0);
  const Tensor after = run(Form::kExecuted);
  EXPECT_FALSE(at::allclose(before, after, 0.1));
  EXPECT_TRUE(at::allclose(run(Form::kRelaxed), after, 1e-4, 1e-5));
}

TEST(RatioLabels, FollowThePapersRule) {
  // d: 10, 5, 4.9 (ratio 0.98 at n = 2); 10, 9, 5, 1: every step pays, so N; no step at n = 1
  // counts.
  const Tensor errors = at::tensor({10.0, 5.0, 4.9, 4.8, 10.0, 9.0, 5.0, 1.0, 10.0, 10.0, 5.0, 4.9})
                            .view({3, 4})
                            .square();
  EXPECT_TRUE(ratio_labels(errors, 0.833, 0).equal(at::tensor({2, 3, 3}, at::kLong)));
}

TEST(PriceLabels, SpendTheShareWhereItPays) {
  // Token 0 gains much from each learner, token 1 almost nothing.
  const Tensor errors = at::tensor({9.0, 4.0, 1.0, 0.0, 1.0, 0.99, 0.98, 0.97}).view({2, 4});
  EXPECT_TRUE(price_labels(errors, 0.5, 0).equal(at::tensor({3, 0}, at::kLong)));
  const Tensor many = at::rand({500, 1}, seeded(4)) * at::tensor({9.0, 4.0, 1.0, 0.0}).view({1, 4});
  for (double share : {0.3, 0.5, 0.8}) {
    const double mean = price_labels(many, share, 0).to(at::kFloat).mean().item<double>() / 3;
    EXPECT_NEAR(mean, share, 0.02);
  }
  EXPECT_GE(price_labels(many, 0.0, 1).min().item<int64_t>(), 1);
}

}  // namespace
}  // namespace pace
