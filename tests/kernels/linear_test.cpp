#include "pace/kernels/linear.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <thread>
#include <vector>

#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

/// rows, in, out
constexpr std::array<std::array<int64_t, 3>, 14> kSizes{{{1, 1, 1},
                                                         {1, 3072, 7},
                                                         {2, 5, 3},
                                                         {7, 16, 33},
                                                         {16, 256, 32},
                                                         {17, 257, 33},
                                                         {32, 255, 16},
                                                         {33, 31, 32},
                                                         {193, 31, 33},
                                                         {37, 384, 9},
                                                         {65, 17, 130},
                                                         {197, 96, 384},
                                                         {300, 512, 40},
                                                         {300, 1536, 40}}};

class PackedLinear : public ::testing::TestWithParam<Context> {};

INSTANTIATE_TEST_SUITE_P(Kernels, PackedLinear, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(PackedLinear, EqualsTheDefinition) {
  for (const auto& [rows, in, out] : kSizes) {
    const Tensor x = at::randn({rows, in}, seeded(1)), weight = at::randn({out, in}, seeded(2));
    for (const Tensor& bias : {at::randn({out}, seeded(3)), Tensor()}) {
      const Linear layer(weight, bias);
      const Tensor sum = at::linear(x.to(at::kDouble), weight.to(at::kDouble),
                                    bias.defined() ? bias.to(at::kDouble) : bias);
      for (const auto activation :
           {Activation::kIdentity, Activation::kGelu, Activation::kGeluTanh, Activation::kSilu}) {
        const at::NoGradGuard no_grad;
        Context context = GetParam();
        const Tensor y = layer.forward(x, context, activation);
        const double unit = context.type == at::kFloat ? 1e-5 : 0.03;
        EXPECT_LT((y - activate(sum, activation)).abs().max().item<double>(),
                  unit * std::sqrt(static_cast<double>(in)))
            << rows << " x " << in << " -> " << out;
        EXPECT_EQ(context.macs, rows * in * out);
      }
    }
  }
}

TEST_P(PackedLinear, ARowHasTheSameBitsWhateverStandsBesideIt) {
  const at::NoGradGuard no_grad;
  const int before = at::get_num_threads();
  for (const auto& [rows, in, out] : kSizes) {
    const Tensor x = at::randn({rows, in}, seeded(1));
    const Linear layer(at::randn({out, in}, seeded(2)), at::randn({out}, seeded(3)));
    Context context = GetParam();
    const Tensor whole = layer.forward(x, context, Activation::kGelu);
    for (const int threads : {1, 2, 5, 16}) {
      at::set_num_threads(threads);
      for (const int64_t part : {int64_t{1}, int64_t{2}, int64_t{5}, rows}) {
        const int64_t end = std::min(rows, 20 * part);
        for (int64_t row = 0; row < end; row += part) {
          const int64_t count = std::min(part, rows - row);
          const Tensor some = layer.forward(x.narrow(0, row, count), context, Activation::kGelu);
          EXPECT_TRUE(some.equal(whole.narrow(0, row, count)))
              << count << " of " << rows << " rows, " << in << " -> " << out;
        }
      }
    }
    at::set_num_threads(before);
  }
}

TEST(Linear, SeesItsWeightsChange) {
  const at::NoGradGuard no_grad;
  const Tensor weight = at::ones({3, 4}), bias = at::zeros({3}), x = at::ones({2, 4});
  const Linear layer(weight, bias);
  Context context;
  EXPECT_TRUE(layer.forward(x, context).equal(at::full({2, 3}, 4.0)));
  weight.mul_(2);
  bias.add_(1);
  EXPECT_TRUE(layer.forward(x, context).equal(at::full({2, 3}, 9.0)));
}

TEST(Linear, TakesAnyShapeAndLayout) {
  const at::NoGradGuard no_grad;
  const Tensor weight = at::randn({5, 2, 3}), bias = at::randn({5});
  const Linear layer(weight, bias);
  const Tensor x = at::randn({6, 4, 3}).transpose(0, 2);  // [3, 4, 6]
  Context context;
  const Tensor expected = at::linear(x, weight.flatten(1), bias);
  EXPECT_EQ(layer.forward(x, context).sizes(), expected.sizes());
  EXPECT_TRUE(at::allclose(layer.forward(x, context), expected, 1e-5, 1e-5));
  EXPECT_EQ(layer.forward(at::empty({0, 6}), context).sizes(), (at::IntArrayRef{0, 5}));
}

TEST(Linear, TakesTransposedWeights) {
  const Tensor weight = at::randn({6, 5}), bias = at::randn({5}), x = at::randn({4, 6});
  const Linear layer(weight, bias, true);
  Context context;
  const Tensor expected = at::linear(x, weight.t(), bias);
  EXPECT_TRUE(at::allclose(layer.forward(x, context), expected, 1e-5, 1e-5));
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::allclose(layer.forward(x, context), expected, 1e-5, 1e-5));
  EXPECT_EQ(context.macs, 2 * 4 * 6 * 5);
}

TEST(Linear, HasGradientsInTraining) {
  const Tensor weight = at::randn({5, 6}).set_requires_grad(true);
  const Linear layer(weight, {});
  Context context;
  const Tensor x = at::randn({4, 6});
  layer.forward(x, context).sum().backward();
  EXPECT_TRUE(at::allclose(weight.grad(), x.sum(0).expand({5, 6}), 1e-5, 1e-5));
}

TEST(Linear, RefusesInputOfAnotherType) {
  const at::NoGradGuard no_grad;
  const Linear layer(at::randn({5, 6}), {});
  Context context;
  EXPECT_THROW(layer.forward(at::randn({4, 6}).to(at::kDouble), context), c10::Error);
}

TEST(Linear, RunsInSeveralThreadsAtATime) {
  const at::NoGradGuard no_grad;
  const Tensor weight = at::randn({40, 30}), bias = at::randn({40});
  const Linear layer(weight, bias);
  const Tensor x = at::randn({20, 30});
  const Tensor expected = at::linear(x, weight, bias);
  std::vector<Tensor> results(8);
  std::vector<std::thread> threads;
  for (Tensor& result : results) {
    threads.emplace_back([&] {
      const at::NoGradGuard in_this_thread;
      Context own;
      result = layer.forward(x, own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& result : results) EXPECT_TRUE(at::allclose(result, expected, 1e-5, 1e-5));
}

}  // namespace
}  // namespace pace::kernels
