#include "pace/kernels/attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

/// The definition in scalar loops over doubles; `valid` may be undefined.
Tensor scalar_attention(const Tensor& query, const Tensor& key, const Tensor& value, int64_t heads,
                        const Tensor& valid) {
  const Tensor result = at::zeros_like(query);
  const auto q = query.accessor<float, 3>(), k = key.accessor<float, 3>();
  const auto v = value.accessor<float, 3>();
  auto out = result.accessor<float, 3>();
  const int64_t tokens = query.size(1), width = query.size(2) / heads;
  for (int64_t b = 0; b < query.size(0); ++b) {
    for (int64_t begin = 0; begin < query.size(2); begin += width) {
      for (int64_t i = 0; i < tokens; ++i) {
        std::vector<double> weights(tokens, 0.0);
        double total = 0.0;
        for (int64_t j = 0; j < tokens; ++j) {
          if (valid.defined() && !valid[b][j].item<bool>()) continue;
          double score = 0.0;
          for (int64_t d = begin; d < begin + width; ++d) score += double{q[b][i][d]} * k[b][j][d];
          total += weights[j] = std::exp(score / std::sqrt(static_cast<double>(width)));
        }
        for (int64_t d = begin; d < begin + width; ++d) {
          double sum = 0.0;
          for (int64_t j = 0; j < tokens; ++j) sum += weights[j] * v[b][j][d];
          out[b][i][d] = static_cast<float>(sum / total);
        }
      }
    }
  }
  return result;
}

struct Inputs {
  Tensor query, key, value;
};

Inputs random_inputs(int64_t batch, int64_t tokens, int64_t dim) {
  const auto random = [&](uint64_t seed) { return at::randn({batch, tokens, dim}, seeded(seed)); };
  return {random(1), random(2), random(3)};
}

/// [2, tokens] where the first sequence ends after four.
Tensor short_first(int64_t tokens) {
  const Tensor valid = at::ones({2, tokens}, at::kBool);
  valid[0].slice(0, 4).fill_(false);
  return valid;
}

class Attention : public ::testing::TestWithParam<Context> {
 protected:
  double tolerance() const { return GetParam().type == at::kFloat ? 2e-5 : 0.05; }
};

INSTANTIATE_TEST_SUITE_P(Kernels, Attention, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(Attention, EqualsItsDefinitionOverOddSizes) {
  const at::NoGradGuard no_grad;
  // Beyond one slice of 192 or 384 keys, one panel of numbers and one tile of queries.
  for (const auto& [batch, heads, tokens, width] : std::vector<std::array<int64_t, 4>>{
           {1, 1, 1, 1}, {2, 3, 5, 7}, {3, 2, 33, 9}, {1, 2, 197, 64}, {1, 1, 401, 70}}) {
    const auto [query, key, value] = random_inputs(batch, tokens, heads * width);
    Context context = GetParam();
    const Tensor mixed = attention(query, key, value, heads, {}, context);
    const Tensor expected = scalar_attention(query, key, value, heads, {});
    EXPECT_LT((mixed - expected).abs().max().item<double>(), tolerance()) << tokens << " tokens";
    EXPECT_EQ(context.macs, 2 * batch * heads * tokens * tokens * width);
  }
}

TEST_P(Attention, KeepsItsPrecisionWhereScoresAreLarge) {
  const at::NoGradGuard no_grad;
  const auto [query, key, value] = random_inputs(1, 40, 16);
  Context context = GetParam();
  // Products of numbers that bfloat16 has exactly.
  const Tensor many = (query * 40).round(), most = key.round();
  const Tensor mixed = attention(many, most, value, 1, {}, context);
  const Tensor expected = scalar_attention(many, most, value, 1, {});
  EXPECT_LT((mixed - expected).abs().max().item<double>(), tolerance());
}

TEST_P(Attention, LeavesOutPaddingKeys) {
  const at::NoGradGuard no_grad;
  const auto [query, key, value] = random_inputs(2, 41, 15);
  const Tensor valid = short_first(41);
  Context context = GetParam();
  const Tensor mixed = attention(query, key, value, 3, valid, context);
  const Tensor expected = scalar_attention(query, key, value, 3, valid);
  EXPECT_LT((mixed - expected).abs().max().item<double>(), tolerance());
  // What stands at the padding cannot be seen.
  const Tensor other_key = key.clone(), other_value = value.clone();
  other_key[0].slice(0, 4).fill_(30.0);
  other_value[0].slice(0, 4).fill_(1e6);
  EXPECT_TRUE(attention(query, other_key, other_value, 3, valid, context).equal(mixed));
}

TEST_P(Attention, OfASequenceDoesNotDependOnTheOthersNorOnThreads) {
  const at::NoGradGuard no_grad;
  const auto [query, key, value] = random_inputs(5, 50, 24);
  Context context = GetParam();
  const Tensor mixed = attention(query, key, value, 3, {}, context);
  const int before = at::get_num_threads();
  for (const int threads : {1, 3, 16}) {
    at::set_num_threads(threads);
    for (int64_t i = 0; i < 5; ++i) {
      const auto alone = [i](const Tensor& x) { return x.narrow(0, i, 1); };
      EXPECT_TRUE(attention(alone(query), alone(key), alone(value), 3, {}, context)
                      .equal(mixed.narrow(0, i, 1)));
    }
  }
  at::set_num_threads(before);
}

TEST(AttentionInTraining, EqualsItsDefinition) {
  const auto [query, key, value] = random_inputs(2, 9, 15);
  for (const Tensor& valid : {Tensor(), short_first(9)}) {
    Context context;
    const Tensor mixed = attention(query, key, value, 3, valid, context);
    EXPECT_TRUE(at::allclose(mixed, scalar_attention(query, key, value, 3, valid), 1e-4, 1e-5));
  }
}

TEST(AttentionInTraining, OfBfloat16IsAsOfFloat) {
  const auto random = [](uint64_t seed) {
    return at::randn({2, 9, 15}, seeded(seed)).to(at::kBFloat16).to(at::kFloat);
  };
  std::array<Tensor, 3> inputs{random(1), random(2), random(3)};
  const Tensor valid = short_first(9), upstream = random(4);
  const auto train = [&](at::ScalarType type) {
    std::vector<Tensor> results;
    for (Tensor& input : inputs) input = input.detach().set_requires_grad(true);
    Context context;
    const Tensor mixed =
        attention(inputs[0].to(type), inputs[1].to(type), inputs[2].to(type), 3, valid, context);
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

}  // namespace
}  // namespace pace::kernels
