#include "pace/kernels/dense.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <tuple>

namespace pace::kernels {
namespace {

/// The definition of softmax attention in scalar loops over doubles; `valid` may be undefined.
Tensor scalar_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        const Tensor& valid) {
  const Tensor result = at::zeros_like(query);
  const auto q = query.accessor<float, 4>(), k = key.accessor<float, 4>();
  const auto v = value.accessor<float, 4>();
  auto out = result.accessor<float, 4>();
  const int64_t tokens = query.size(2), width = query.size(3);
  for (int64_t b = 0; b < query.size(0); ++b) {
    for (int64_t h = 0; h < query.size(1); ++h) {
      for (int64_t i = 0; i < tokens; ++i) {
        std::vector<double> weights(tokens, 0.0);
        double total = 0.0;
        for (int64_t j = 0; j < tokens; ++j) {
          if (valid.defined() && !valid[b][j].item<bool>()) continue;
          double score = 0.0;
          for (int64_t d = 0; d < width; ++d) score += double{q[b][h][i][d]} * k[b][h][j][d];
          total += weights[j] = std::exp(score / std::sqrt(double(width)));
        }
        for (int64_t d = 0; d < width; ++d) {
          double sum = 0.0;
          for (int64_t j = 0; j < tokens; ++j) sum += weights[j] * v[b][h][j][d];
          out[b][h][i][d] = static_cast<float>(sum / total);
        }
      }
    }
  }
  return result;
}

TEST(Linear, EqualsItsDefinitionOverOddSizes) {
  for (const auto& [rows, in, out] :
       {std::tuple{1, 1, 1}, std::tuple{3, 7, 5}, std::tuple{17, 33, 65}}) {
    const Tensor x = at::randn({2, rows, in}), weight = at::randn({out, in}), bias = at::randn(out);
    MacCounter counter;
    const Tensor y = linear(x, weight, bias, counter);
    for (int64_t o = 0; o < out; ++o) {
      const Tensor expected = (x * weight[o]).sum(-1) + bias[o];
      EXPECT_TRUE(at::allclose(y.select(-1, o), expected, 1e-4, 1e-5));
    }
    EXPECT_EQ(counter.macs, 2 * rows * in * out);
    EXPECT_TRUE(at::allclose(linear(x, weight, {}, counter) + bias, y, 1e-4, 1e-5));
    EXPECT_EQ(counter.macs, 4 * rows * in * out) << "the counter adds up";
  }
}

TEST(Attention, EqualsItsDefinitionOverOddSizes) {
  for (const auto& [batch, heads, tokens, width] :
       {std::tuple{1, 1, 1, 1}, std::tuple{2, 3, 5, 7}, std::tuple{3, 2, 33, 9}}) {
    const auto random = [&] { return at::randn({batch, heads, tokens, width}); };
    const Tensor query = random(), key = random(), value = random();
    MacCounter counter;
    const Tensor mixed = attention(query, key, value, {}, counter);
    EXPECT_TRUE(at::allclose(mixed, scalar_attention(query, key, value, {}), 1e-4, 1e-5));
    EXPECT_EQ(counter.macs, 2 * batch * heads * tokens * tokens * width);
  }
}

TEST(Attention, LeavesOutPaddingKeys) {
  const auto random = [] { return at::randn({2, 3, 9, 5}); };
  const Tensor query = random(), key = random(), value = random();
  const Tensor valid = at::ones({2, 9}, at::kBool);
  valid[0].slice(0, 4).fill_(false);
  MacCounter counter;
  const Tensor mixed = attention(query, key, value, valid, counter);
  EXPECT_TRUE(at::allclose(mixed, scalar_attention(query, key, value, valid), 1e-4, 1e-5));
  // What stands at the padding cannot be seen.
  const Tensor other = value.clone();
  other[0].slice(1, 4).fill_(1e6);
  EXPECT_TRUE(attention(query, key, other, valid, counter).equal(mixed));
}

TEST(Attention, TrainsInBfloat16AsInFloat) {
  const auto random = [] { return at::randn({2, 3, 9, 5}).to(at::kBFloat16).to(at::kFloat); };
  std::array<Tensor, 3> inputs{random(), random(), random()};
  const Tensor valid = at::ones({2, 9}, at::kBool), upstream = random();
  valid[0].slice(0, 4).fill_(false);
  const auto train = [&](at::ScalarType type) {
    std::vector<Tensor> results;
    for (Tensor& input : inputs) input = input.detach().set_requires_grad(true);
    MacCounter counter;
    const Tensor mixed =
        attention(inputs[0].to(type), inputs[1].to(type), inputs[2].to(type), valid, counter);
    mixed.backward(upstream.to(type));
    results.push_back(mixed.detach().to(at::kFloat));
    for (const Tensor& input : inputs) results.push_back(input.grad());
    return results;
  };
  const std::vector<Tensor> half = train(at::kBFloat16), full = train(at::kFloat);
  for (size_t i = 0; i < full.size(); ++i) {
    EXPECT_TRUE(at::allclose(half[i], full[i], 0.02, 0.03)) << i;
    EXPECT_GT(full[i].abs().max().item<float>(), 0.3) << i;
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
