#include "pace/train/optimizer.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <limits>
#include <map>

#include "tests/error_of.h"

namespace pace {
namespace {

using ::testing::HasSubstr;
using Named = std::vector<std::pair<std::string, Tensor>>;

Tensor parameter(at::IntArrayRef shape) { return at::randn(shape).set_requires_grad(true); }

/// A loss with gradients of different sizes in its two parameters.
Tensor loss_of(const Tensor& weight, const Tensor& bias, int step) {
  const Tensor inputs = at::sin(at::arange(12, at::kFloat).view({4, 3}) + step);
  return (at::tanh(at::addmm(bias, inputs, weight)) - 0.3 * step).square().sum();
}

TEST(AdamWTest, EqualsTorch) {
  at::manual_seed(1);
  const Tensor weight = parameter({3, 5}), bias = parameter({5});
  const Tensor weight2 = weight.detach().clone().set_requires_grad(true);
  const Tensor bias2 = bias.detach().clone().set_requires_grad(true);
  AdamW ours({{{{"weight", weight}}, 0.02, 0.1}, {{{"bias", bias}}, 0.005, 0.0}}, 0.8);
  using Options = torch::optim::AdamWOptions;
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<Tensor>{weight2},
                      std::make_unique<Options>(Options(0.02).weight_decay(0.1)));
  groups.emplace_back(std::vector<Tensor>{bias2},
                      std::make_unique<Options>(Options(0.005).weight_decay(0.0)));
  torch::optim::AdamW theirs(groups, Options(0.02));
  for (int step = 0; step < 40; ++step) {
    ours.zero_grad();
    loss_of(weight, bias, step).backward();
    const double norm = ours.step(1.0);
    theirs.zero_grad();
    loss_of(weight2, bias2, step).backward();
    EXPECT_NEAR(norm, torch::nn::utils::clip_grad_norm_({weight2, bias2}, 0.8), 1e-4);
    theirs.step();
    ASSERT_TRUE(at::allclose(weight, weight2, 1e-6, 1e-6)) << "step " << step;
    ASSERT_TRUE(at::allclose(bias, bias2, 1e-6, 1e-6)) << "step " << step;
  }
}

TEST(AdamWTest, ScaleMultipliesEveryRate) {
  const Tensor a = at::ones({2}).set_requires_grad(true), b = at::ones({2}).set_requires_grad(true);
  AdamW optimizer({{{{"a", a}}, 0.1, 0.0}, {{{"b", b}}, 0.2, 0.0}}, 0.0);
  (a.sum() + b.sum()).backward();
  optimizer.step(0.5);
  // The first step of Adam is as long as the rate.
  EXPECT_NEAR(a[0].item<double>(), 0.95, 1e-6);
  EXPECT_NEAR(b[0].item<double>(), 0.90, 1e-6);
}

TEST(AdamWTest, ClipsTheNormOverAllGroups) {
  const Tensor a = at::zeros({1}).set_requires_grad(true),
               b = at::zeros({1}).set_requires_grad(true);
  AdamW optimizer({{{{"a", a}}, 0.1, 0.0}, {{{"b", b}}, 0.1, 0.0}}, 1.0);
  (3 * a + 4 * b).backward();
  EXPECT_NEAR(optimizer.step(1.0), 5.0, 1e-6);
  EXPECT_NEAR(a.grad().item<double>(), 0.6, 1e-5);
  EXPECT_NEAR(b.grad().item<double>(), 0.8, 1e-5);
}

TEST(AdamWTest, SkipsParametersWithoutGradient) {
  const Tensor a = parameter({3}), b = parameter({3});
  const Tensor before = b.detach().clone();
  AdamW optimizer({{{{"a", a}, {"b", b}}, 0.1, 0.5}}, 1.0);
  EXPECT_EQ(optimizer.step(1.0), 0.0);
  a.sum().backward();
  optimizer.step(1.0);
  EXPECT_TRUE(b.equal(before));
}

TEST(AdamWTest, NonFiniteGradientChangesNothing) {
  const Tensor a = parameter({3}), b = parameter({3});
  const Tensor before = a.detach().clone();
  AdamW optimizer({{{{"a", a}, {"b", b}}, 0.1, 0.5}}, 1.0);
  (a.sum() + b.sum() * std::numeric_limits<double>::quiet_NaN()).backward();
  EXPECT_THAT(error_of([&] { optimizer.step(1.0); }), HasSubstr("gradient of 'b' is not finite"));
  EXPECT_TRUE(a.equal(before));
}

TEST(AdamWTest, StateRestoresBitForBit) {
  at::manual_seed(2);
  const Tensor weight = parameter({3, 5}), bias = parameter({5});
  const auto groups = [](const Tensor& w, const Tensor& b) {
    return std::vector<ParameterGroup>{{{{"weight", w}, {"bias", b}}, 0.02, 0.1}};
  };
  const auto train = [](AdamW& optimizer, const Tensor& w, const Tensor& b, int from, int to) {
    for (int step = from; step < to; ++step) {
      optimizer.zero_grad();
      loss_of(w, b, step).backward();
      optimizer.step(1.0);
    }
  };
  AdamW first(groups(weight, bias), 1.0);
  train(first, weight, bias, 0, 7);
  std::map<std::string, Tensor> stored;
  for (const auto& [name, tensor] : first.state()) stored[name] = tensor.clone();
  const Tensor weight2 = weight.detach().clone().set_requires_grad(true);
  const Tensor bias2 = bias.detach().clone().set_requires_grad(true);
  AdamW second(groups(weight2, bias2), 1.0);
  second.load_state([&](const std::string& name) { return stored.at(name); });
  train(first, weight, bias, 7, 15);
  train(second, weight2, bias2, 7, 15);
  EXPECT_TRUE(weight.equal(weight2));
  EXPECT_TRUE(bias.equal(bias2));

  stored["adam.mean.bias"] = at::zeros({6});
  EXPECT_THAT(error_of([&] {
                second.load_state([&](const std::string& name) { return stored.at(name); });
              }),
              HasSubstr("'adam.mean.bias' has shape 6, but 5 is needed"));
}

TEST(AdamWTest, RefusesWhatMakesNoSense) {
  const Tensor a = parameter({3});
  const auto make = [&](double rate, double decay, double clip) {
    return error_of([&] { AdamW({{{{"a", a}}, rate, decay}}, clip); });
  };
  EXPECT_THAT(make(-1e-3, 0, 1), HasSubstr("learning rate is -0.001"));
  EXPECT_THAT(make(std::numeric_limits<double>::infinity(), 0, 1),
              HasSubstr("learning rate is inf"));
  EXPECT_THAT(make(1e-3, -2, 1), HasSubstr("weight decay is -2"));
  EXPECT_THAT(make(1e-3, 0, std::numeric_limits<double>::quiet_NaN()),
              HasSubstr("clipping norm is nan"));
  EXPECT_THAT(error_of([&] {
                AdamW({{{{"a", a}}}, {{{"a", a}}}}, 1.0);
              }),
              HasSubstr("parameter 'a' is given to the optimiser twice"));
}

TEST(CosineScheduleTest, WarmsUpAndFallsToItsFloor) {
  EXPECT_DOUBLE_EQ(cosine_schedule(0, 100, 10, 0.1), 0.1);
  EXPECT_DOUBLE_EQ(cosine_schedule(9, 100, 10, 0.1), 1.0);
  EXPECT_DOUBLE_EQ(cosine_schedule(10, 100, 10, 0.1), 1.0);
  EXPECT_DOUBLE_EQ(cosine_schedule(55, 100, 10, 0.1), 0.55);
  EXPECT_NEAR(cosine_schedule(100, 100, 10, 0.1), 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(cosine_schedule(0, 10, 0, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(cosine_schedule(5, 5, 5, 0.0), 1.0);  // nothing but warm-up
  for (int64_t step = 10; step < 100; ++step) {
    EXPECT_LT(cosine_schedule(step + 1, 100, 10, 0.1), cosine_schedule(step, 100, 10, 0.1));
  }
}

}  // namespace
}  // namespace pace
