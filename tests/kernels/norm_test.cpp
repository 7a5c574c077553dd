#include "pace/kernels/norm.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

class NormOnCpu : public ::testing::TestWithParam<Context> {};

INSTANTIATE_TEST_SUITE_P(Kernels, NormOnCpu, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(NormOnCpu, EqualsLayerNormOverOddSizes) {
  const at::NoGradGuard no_grad;
  for (const auto& [rows, dim] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {3, 2}, {2, 16}, {7, 33}, {50, 96}, {300, 770}}) {
    // Far from zero, where a variance of squares less the square would fail.
    const Tensor states = at::randn({rows, dim}, seeded(1)) + 50, update = at::randn({rows, dim});
    const Tensor weight = at::randn({dim}, seeded(2)), bias = at::randn({dim}, seeded(3));
    const Norm norm(weight, bias, 1e-6);
    const auto expected = [&](const Tensor& x) {
      return at::layer_norm(x.to(at::kDouble), {dim}, weight.to(at::kDouble), bias.to(at::kDouble),
                            1e-6);
    };
    Context context = GetParam();
    // One number has no variance: what its rounding leaves is divided by a thousandth.
    const double tolerance = dim < 3 ? 0.05 : 1e-4;
    EXPECT_LT((norm.forward(states, context) - expected(states)).abs().max().item<double>(),
              tolerance)
        << rows << " x " << dim;
    const Tensor activated = norm.forward(states, context, Activation::kGelu);
    EXPECT_LT((activated - at::gelu(expected(states))).abs().max().item<double>(), 2 * tolerance);
    for (const Tensor& scale : {Tensor(), at::randn({dim}, seeded(4))}) {
      const auto [sum, normed] = norm.add(states, update, scale, context);
      const Tensor added = scale.defined() ? states + update * scale : states + update;
      EXPECT_TRUE(at::allclose(sum, added, 1e-6, 1e-6)) << rows << " x " << dim;
      EXPECT_LT((normed - expected(sum)).abs().max().item<double>(), tolerance);
    }
  }
}

TEST_P(NormOnCpu, WithoutABiasEqualsRmsNorm) {
  const at::NoGradGuard no_grad;
  for (const int64_t dim : {1, 2, 16, 33, 770}) {
    const Tensor states = at::randn({3, dim}, seeded(1)) + 5, update = at::randn({3, dim});
    const Tensor weight = at::randn({dim}, seeded(2));
    const Norm norm(weight, {}, 1e-3);
    const auto expected = [&](const Tensor& x) {
      return x * at::rsqrt(x.square().mean(1, true) + 1e-3) * weight;
    };
    Context context = GetParam();
    EXPECT_TRUE(at::allclose(norm.forward(states, context), expected(states), 1e-5, 1e-5)) << dim;
    const auto [sum, normed] = norm.add(states, update, {}, context);
    EXPECT_TRUE(at::allclose(normed, expected(states + update), 1e-5, 1e-5)) << dim;
    const at::AutoGradMode with_gradients(true);
    EXPECT_TRUE(at::allclose(norm.forward(states, context), expected(states), 1e-5, 1e-5)) << dim;
  }
}

TEST(Norm, HasGradientsInTraining) {
  const Tensor weight = at::randn({6}).set_requires_grad(true), bias = at::zeros({6});
  const Tensor states = at::randn({4, 6}), update = at::randn({4, 6}).set_requires_grad(true);
  const Norm norm(weight, bias, 1e-6);
  Context context;
  const auto [sum, normed] = norm.add(states, update, at::full({6}, 2.0), context);
  EXPECT_TRUE(at::allclose(sum, states + 2 * update));
  EXPECT_TRUE(at::allclose(normed, at::layer_norm(sum, {6}, weight, bias, 1e-6)));
  (normed * at::randn({4, 6})).sum().backward();
  EXPECT_GT(weight.grad().abs().sum().item<double>(), 0);
  EXPECT_GT(update.grad().abs().sum().item<double>(), 0);
}

}  // namespace
}  // namespace pace::kernels
