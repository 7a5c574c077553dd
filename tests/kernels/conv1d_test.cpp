#include "pace/kernels/conv1d.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

struct Case {
  int64_t in, out, side;
  Conv1dShape shape;
  bool gain = false;
  std::vector<int64_t> lengths = {};
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {1, 7, 10, {.stride = 5}, false, {10, 173, 14}},
      {3, 40, 3, {.stride = 2}, false, {3, 90, 17, 4}},
      {96, 33, 3, {.stride = 2}, false, {131}},
      {16, 64, 2, {.stride = 2}, false, {2, 200}},
      {5, 9, 1, {}, false, {1, 13}},
      {12, 12, 16, {.groups = 4, .padded = true}, true, {1, 50, 7}},
      {6, 10, 5, {.groups = 2, .padded = true}, false, {30, 2}},
      {96, 96, 32, {.groups = 2, .padded = true}, true, {67}},
  };
  return all;
}

/// A case's tensors.
struct Layer {
  Tensor weight, bias, gain, x;
  Sequences sequences;

  explicit Layer(const Case& test)
      : weight(at::randn({test.out, test.in / test.shape.groups, test.side}, seeded(1))),
        bias(at::randn({test.out}, seeded(2))),
        gain(test.gain ? at::rand({1, 1, test.side}, seeded(3)) + 3 : Tensor()),
        sequences(test.lengths) {
    x = at::randn({sequences.rows(), test.in}, seeded(4));
  }
};

/// By LibTorch in float64, sequence by sequence.
Tensor by_definition(const Case& test, const Layer& layer) {
  Tensor weight = layer.weight.to(at::kDouble);
  if (test.gain) weight = layer.gain * weight / weight.square().sum({0, 1}, true).sqrt();
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < layer.sequences.count(); ++i) {
    const Tensor own = layer.x.narrow(0, layer.sequences.begin(i), layer.sequences.length(i));
    const int64_t padding = test.shape.padded ? test.side / 2 : 0;
    Tensor y = at::conv1d(own.t().unsqueeze(0).to(at::kDouble), weight, layer.bias.to(at::kDouble),
                          test.shape.stride, padding, 1, test.shape.groups)[0]
                   .t();
    if (test.shape.padded) y = y.narrow(0, 0, own.size(0));
    rows.push_back(y);
  }
  return at::cat(rows);
}

class Conv1dOnCpu : public ::testing::TestWithParam<Context> {};

INSTANTIATE_TEST_SUITE_P(Kernels, Conv1dOnCpu, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(Conv1dOnCpu, EqualsTheDefinition) {
  for (const Case& test : cases()) {
    const Layer layer(test);
    const Conv1d conv(layer.weight, layer.bias, test.shape, layer.gain);
    const Tensor sums = by_definition(test, layer);
    for (const Activation activation : {Activation::kIdentity, Activation::kGelu}) {
      const Tensor expected = activate(sums, activation);
      const at::NoGradGuard no_grad;
      Context context = GetParam();
      const Tensor y = conv.forward(layer.x, layer.sequences, context, activation);
      const double unit = context.type == at::kFloat ? 1e-5 : 0.03;
      const auto depth = static_cast<double>(layer.weight[0].numel());
      ASSERT_EQ(y.sizes(), expected.sizes());
      EXPECT_LT((y - expected).abs().max().item<double>(), unit * std::sqrt(depth))
          << test.in << " -> " << test.out;
      EXPECT_EQ(context.macs, y.size(0) * conv.macs());
      EXPECT_EQ(y.size(0), conv.result(layer.sequences).rows());
    }
  }
}

TEST_P(Conv1dOnCpu, ASequenceHasTheSameBitsAloneAndOnAnyThreads) {
  const at::NoGradGuard no_grad;
  const int before = at::get_num_threads();
  for (const Case& test : cases()) {
    const Layer layer(test);
    const Conv1d conv(layer.weight, layer.bias, test.shape, layer.gain);
    Context context = GetParam();
    const Tensor together = conv.forward(layer.x, layer.sequences, context);
    const Sequences out = conv.result(layer.sequences);
    for (const int threads : {1, 3}) {
      at::set_num_threads(threads);
      for (int64_t i = 0; i < out.count(); ++i) {
        const int64_t length = layer.sequences.length(i);
        const Tensor own = layer.x.narrow(0, layer.sequences.begin(i), length);
        const Tensor alone = conv.forward(own, Sequences({length}), context);
        EXPECT_TRUE(alone.equal(together.narrow(0, out.begin(i), out.length(i))));
      }
    }
    at::set_num_threads(before);
  }
}

TEST(Conv1d, TrainsWithTheSameResultAndGradients) {
  for (const Case& test : cases()) {
    Layer layer(test);
    for (Tensor* handle : {&layer.weight, &layer.bias, &layer.gain}) {
      if (handle->defined()) handle->set_requires_grad(true);
    }
    const Conv1d conv(layer.weight, layer.bias, test.shape, layer.gain);
    Context context;
    const Tensor y = conv.forward(layer.x, layer.sequences, context);
    EXPECT_TRUE(at::allclose(y.to(at::kDouble), by_definition(test, layer), 1e-4, 1e-4));
    y.square().sum().backward();
    EXPECT_GT(layer.weight.grad().abs().max().item<double>(), 0.0);
    if (test.gain) {
      EXPECT_GT(layer.gain.grad().abs().max().item<double>(), 0.0);
    }
  }
}

TEST(Conv1d, LeavesOutSequencesShorterThanItsKernel) {
  const at::NoGradGuard no_grad;
  const Conv1d conv(at::ones({1, 1, 3}), {}, {.stride = 2});
  EXPECT_EQ(conv.length(2), 0);
  EXPECT_EQ(conv.length(3), 1);
  EXPECT_EQ(conv.length(6), 2);
  Context context;
  const Tensor y = conv.forward(at::ones({9, 1}), Sequences({2, 5, 2}), context);
  EXPECT_TRUE(y.equal(at::full({2, 1}, 3.0)));
}

TEST(Conv1d, SeesItsWeightsChange) {
  const at::NoGradGuard no_grad;
  const Tensor weight = at::ones({2, 1, 4}), gain = at::ones({1, 1, 4}), x = at::ones({4, 1});
  const Conv1d conv(weight, {}, {}, gain);
  Context context;
  const Tensor before = conv.forward(x, Sequences({4}), context);
  gain.mul_(2);
  EXPECT_TRUE(conv.forward(x, Sequences({4}), context).equal(2 * before));
}

class NormedConv1dOnCpu : public ::testing::TestWithParam<Context> {};

INSTANTIATE_TEST_SUITE_P(Kernels, NormedConv1dOnCpu, ::testing::ValuesIn(contexts_here()),
                         context_name);

TEST_P(NormedConv1dOnCpu, EqualsAConvolutionWithAGroupNormOfEachSound) {
  const Tensor weight = at::randn({37, 1, 10}, seeded(1)), bias = at::randn({37}, seeded(2));
  const Tensor scale = at::randn({37}, seeded(3)), shift = at::randn({37}, seeded(4));
  const Sequences sequences({15, 400, 1000});
  // Far from zero and ever louder, as sounds are that nobody normalised.
  const Tensor x =
      at::randn({sequences.rows(), 1}, seeded(5)) * at::linspace(0.1, 3, 1415).unsqueeze(1) + 5;
  const NormedConv1d conv(weight, bias, 5, scale, shift, 1e-5);
  Context context = GetParam(), training;
  const Tensor trained = conv.forward(x, sequences, training);
  const at::NoGradGuard no_grad;
  const Tensor y = conv.forward(x, sequences, context);
  EXPECT_EQ(context.macs, y.size(0) * conv.macs());
  const Sequences out = conv.result(sequences);
  for (int64_t i = 0; i < out.count(); ++i) {
    const Tensor own = x.narrow(0, sequences.begin(i), sequences.length(i)).to(at::kDouble);
    const Tensor sums = at::conv1d(own.view({1, 1, -1}), weight.to(at::kDouble), {}, 5);
    const Tensor expected =
        at::gelu(at::group_norm(sums, 37, scale.to(at::kDouble), shift.to(at::kDouble), 1e-5))[0]
            .t();
    const auto part = [&](const Tensor& rows) {
      return rows.narrow(0, out.begin(i), out.length(i));
    };
    EXPECT_LT((part(y) - expected).abs().max().item<double>(), 2e-4) << i;
    EXPECT_LT((part(trained) - expected).abs().max().item<double>(), 2e-3) << i;
    const Tensor alone = conv.forward(own.to(at::kFloat), Sequences({own.size(0)}), context);
    EXPECT_TRUE(alone.equal(part(y)));
  }
}

}  // namespace
}  // namespace pace::kernels
