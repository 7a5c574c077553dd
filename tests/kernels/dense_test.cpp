#include "pace/kernels/dense.h"

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

namespace pace::kernels {
namespace {

TEST(Linear, EqualsItsDefinitionOverOddSizes) {
  for (const auto& [rows, in, out] :
       {std::tuple{1, 1, 1}, std::tuple{3, 7, 5}, std::tuple{17, 33, 65}}) {
    const Tensor x = at::randn({2, rows, in}), weight = at::randn({out, in}), bias = at::randn(out);
    Context context;
    const Tensor y = linear(x, weight, bias, context);
    for (int64_t o = 0; o < out; ++o) {
      const Tensor expected = (x * weight[o]).sum(-1) + bias[o];
      EXPECT_TRUE(at::allclose(y.select(-1, o), expected, 1e-4, 1e-5));
    }
    EXPECT_EQ(context.macs, 2 * rows * in * out);
    EXPECT_TRUE(at::allclose(linear(x, weight, {}, context) + bias, y, 1e-4, 1e-5));
    EXPECT_EQ(context.macs, 4 * rows * in * out) << "the counter adds up";
  }
}

TEST(CutPatches, MakeAProductOfAConvolutionWhoseStrideIsItsKernel) {
  for (const auto& [batch, channels, rows, columns, patch, dim] :
       {std::tuple{1, 1, 1, 1, 1, 1}, std::tuple{2, 3, 2, 5, 7, 11},
        std::tuple{3, 1, 4, 3, 4, 6}}) {
    const Tensor pixels = at::randn({batch, channels, rows * patch, columns * patch});
    const Tensor weight = at::randn({dim, channels, patch, patch}), bias = at::randn(dim);
    const Tensor tokens = at::linear(cut_patches(pixels, patch), weight.flatten(1), bias);
    const Tensor expected =
        at::conv2d(pixels, weight, bias, at::IntArrayRef{patch}).flatten(2).transpose(1, 2);
    ASSERT_EQ(tokens.sizes(), expected.sizes());
    EXPECT_TRUE(at::allclose(tokens, expected, 1e-4, 1e-4));
  }
}

TEST(CutPatches, TakePixelsThatAreNotContiguous) {
  const Tensor pixels = at::randn({2, 6, 8, 3}).permute({0, 3, 1, 2});
  EXPECT_TRUE(cut_patches(pixels, 2).equal(cut_patches(pixels.contiguous(), 2)));
}

TEST(Activation, GeluIsTheExactOne) {
  const Tensor x = at::linspace(-4, 4, 33, at::kDouble);
  EXPECT_TRUE(
      at::allclose(activate(x, Activation::kGelu), x * 0.5 * (1 + (x / std::sqrt(2)).erf())));
  EXPECT_TRUE(activate(x, Activation::kIdentity).equal(x));
}

}  // namespace
}  // namespace pace::kernels
