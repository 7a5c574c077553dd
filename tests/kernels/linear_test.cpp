#include "pace/kernels/linear.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <thread>
#include <vector>

namespace pace::kernels {
namespace {

/// rows, in, out
constexpr std::array<std::array<int64_t, 3>, 9> kSizes{{{1, 1, 1},
                                                        {1, 3072, 7},
                                                        {2, 5, 3},
                                                        {7, 16, 33},
                                                        {37, 384, 9},
                                                        {65, 17, 130},
                                                        {197, 96, 384},
                                                        {300, 512, 40},
                                                        {300, 1536, 40}}};

TEST(Linear, PackedEqualsTheDefinition) {
  at::manual_seed(1);
  for (const auto& [rows, in, out] : kSizes) {
    const Tensor x = at::randn({rows, in}), weight = at::randn({out, in}), bias = at::randn({out});
    for (const Tensor& added : {bias, Tensor()}) {
      const Linear layer(weight, added);
      const Tensor sum = at::linear(x.to(at::kDouble), weight.to(at::kDouble),
                                    added.defined() ? added.to(at::kDouble) : added);
      for (const auto activation : {Activation::kIdentity, Activation::kGelu}) {
        const at::NoGradGuard no_grad;
        MacCounter counter;
        const Tensor y = layer.forward(x, counter, activation);
        const double scale = std::sqrt(static_cast<double>(in));
        EXPECT_LT((y - activate(sum, activation)).abs().max().item<double>(), 1e-5 * scale)
            << rows << " x " << in << " -> " << out;
        EXPECT_EQ(counter.macs, rows * in * out);
      }
    }
  }
}

TEST(Linear, ARowHasTheSameBitsWhateverStandsBesideIt) {
  const at::NoGradGuard no_grad;
  at::manual_seed(2);
  const int before = at::get_num_threads();
  for (const auto& [rows, in, out] : kSizes) {
    const Tensor x = at::randn({rows, in});
    const Linear layer(at::randn({out, in}), at::randn({out}));
    MacCounter counter;
    const Tensor whole = layer.forward(x, counter, Activation::kGelu);
    const bool exact = in <= Linear::kExactInputs;
    for (const int threads : {1, 2, 5, 16}) {
      at::set_num_threads(threads);
      for (const int64_t part : {int64_t{1}, int64_t{2}, int64_t{5}, rows}) {
        for (int64_t row = 0; row < rows; row += part) {
          const int64_t count = std::min(part, rows - row);
          const Tensor some = layer.forward(x.narrow(0, row, count), counter, Activation::kGelu);
          const Tensor same = whole.narrow(0, row, count);
          EXPECT_TRUE(exact ? some.equal(same) : at::allclose(some, same, 1e-5, 1e-4))
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
  MacCounter counter;
  EXPECT_TRUE(layer.forward(x, counter).equal(at::full({2, 3}, 4.0)));
  weight.mul_(2);
  bias.add_(1);
  EXPECT_TRUE(layer.forward(x, counter).equal(at::full({2, 3}, 9.0)));
}

TEST(Linear, TakesAnyShapeAndLayout) {
  const at::NoGradGuard no_grad;
  const Linear layer(at::randn({5, 2, 3}), at::randn({5}));
  const Tensor x = at::randn({6, 4, 3}).transpose(0, 2);  // [3, 4, 6]
  MacCounter counter;
  const Tensor expected = at::linear(x, layer.weight().flatten(1), layer.bias());
  EXPECT_EQ(layer.forward(x, counter).sizes(), expected.sizes());
  EXPECT_TRUE(at::allclose(layer.forward(x, counter), expected, 1e-5, 1e-5));
  EXPECT_EQ(layer.forward(at::empty({0, 6}), counter).sizes(), (at::IntArrayRef{0, 5}));
}

TEST(Linear, HasGradientsInTraining) {
  const Tensor weight = at::randn({5, 6}).set_requires_grad(true);
  const Linear layer(weight, {});
  MacCounter counter;
  const Tensor x = at::randn({4, 6});
  layer.forward(x, counter).sum().backward();
  EXPECT_TRUE(at::allclose(weight.grad(), x.sum(0).expand({5, 6}), 1e-5, 1e-5));
}

TEST(Linear, RefusesInputOfAnotherType) {
  const at::NoGradGuard no_grad;
  const Linear layer(at::randn({5, 6}), {});
  MacCounter counter;
  EXPECT_THROW(layer.forward(at::randn({4, 6}).to(at::kDouble), counter), c10::Error);
}

TEST(Linear, RunsInSeveralThreadsAtATime) {
  const at::NoGradGuard no_grad;
  const Linear layer(at::randn({40, 30}), at::randn({40}));
  const Tensor x = at::randn({20, 30});
  const Tensor expected = at::linear(x, layer.weight(), layer.bias());
  std::vector<Tensor> results(8);
  std::vector<std::thread> threads;
  for (Tensor& result : results) {
    threads.emplace_back([&] {
      const at::NoGradGuard in_this_thread;
      MacCounter own;
      result = layer.forward(x, own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& result : results) EXPECT_TRUE(at::allclose(result, expected, 1e-5, 1e-5));
}

}  // namespace
}  // namespace pace::kernels
