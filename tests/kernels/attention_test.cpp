#include "pace/kernels/attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "pace/base/error.h"
#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

/// The definition in scalar loops over doubles.
Tensor scalar_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        const Heads& heads, const Sequences& sequences) {
  const Tensor result = at::zeros_like(query);
  const auto q = query.accessor<float, 2>(), k = key.accessor<float, 2>();
  const auto v = value.accessor<float, 2>();
  auto out = result.accessor<float, 2>();
  const int64_t width = query.size(1) / heads.count;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t first = sequences.begin(s), end = first + sequences.length(s);
    for (int64_t head = 0; head < heads.count; ++head) {
      const int64_t begin = head * width, shared = head / (heads.count / heads.keys) * width;
      for (int64_t i = first; i < end; ++i) {
        const int64_t seen = heads.causal ? i + 1 : end;
        std::vector<double> weights(static_cast<size_t>(end), 0.0);
        double total = 0.0;
        for (int64_t j = first; j < seen; ++j) {
          double score = 0.0;
          for (int64_t d = 0; d < width; ++d) score += double{q[i][begin + d]} * k[j][shared + d];
          total += weights[j] = std::exp(score / std::sqrt(static_cast<double>(width)));
        }
        for (int64_t d = 0; d < width; ++d) {
          double sum = 0.0;
          for (int64_t j = first; j < seen; ++j) sum += weights[j] * v[j][shared + d];
          out[i][begin + d] = static_cast<float>(sum / total);
        }
      }
    }
  }
  return result;
}

struct Inputs {
  Tensor query, key, value;
};

Inputs random_inputs(int64_t rows, int64_t dim, int64_t key_dim) {
  return {at::randn({rows, dim}, seeded(1)), at::randn({rows, key_dim}, seeded(2)),
          at::randn({rows, key_dim}, seeded(3))};
}

Inputs random_inputs(int64_t rows, int64_t dim) { return random_inputs(rows, dim, dim); }

class Attention : public ::testing::TestWithParam<Context> {
 protected:
  double tolerance() const { return GetParam().type == at::kFloat ? 2e-5 : 0.05; }
};

INSTANTIATE_TEST_SUITE_P(Kernels, Attention, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(Attention, EqualsItsDefinitionOverOddSizes) {
  const at::NoGradGuard no_grad;
  struct Case {
    std::vector<int64_t> lengths;
    int64_t heads, width;
  };
  // Beyond one slice of 192, 256 or 384 keys, one panel of numbers and one tile of queries.
  for (const auto& [lengths, heads, width] : std::vector<Case>{{{1}, 1, 1},
                                                               {{5, 5}, 3, 7},
                                                               {{33, 0, 1, 20}, 2, 9},
                                                               {{197, 4}, 2, 64},
                                                               {{2, 401}, 1, 70}}) {
    const Sequences sequences(lengths);
    const auto [query, key, value] = random_inputs(sequences.rows(), heads * width);
    Context context = GetParam();
    const Tensor mixed = attention(query, key, value, {heads, heads}, sequences, context);
    const Tensor expected = scalar_attention(query, key, value, {heads, heads}, sequences);
    EXPECT_LT((mixed - expected).abs().max().item<double>(), tolerance()) << width;
    int64_t macs = 0;
    for (const int64_t length : lengths) macs += 2 * heads * width * length * length;
    EXPECT_EQ(context.macs, macs);
  }
}

TEST_P(Attention, OfCausalAndSharedHeadsEqualsItsDefinition) {
  for (const Heads& heads : {Heads{3, 3, true}, Heads{6, 2, true}, Heads{4, 1, false}}) {
    for (const Sequences& sequences : {Sequences({33, 0, 1, 20}), Sequences({230, 230})}) {
      const auto [query, key, value] =
          random_inputs(sequences.rows(), heads.count * 9, heads.keys * 9);
      const Tensor expected = scalar_attention(query, key, value, heads, sequences);
      Context context = GetParam();
      {
        const at::NoGradGuard no_grad;
        const Tensor mixed = attention(query, key, value, heads, sequences, context);
        EXPECT_LT((mixed - expected).abs().max().item<double>(), tolerance());
      }
      int64_t pairs = 0;
      for (int64_t i = 0; i < sequences.count(); ++i) {
        const int64_t n = sequences.length(i);
        pairs += heads.causal ? n * (n + 1) / 2 : n * n;
      }
      EXPECT_EQ(context.macs, 2 * 9 * heads.count * pairs);
      const Tensor trained = attention(query, key, value, heads, sequences, context);
      EXPECT_TRUE(at::allclose(trained, expected, 1e-4, 1e-5));
    }
  }
}

TEST_P(Attention, ReadsColumnsOfWiderRows) {
  const at::NoGradGuard no_grad;
  const Tensor all = at::randn({20, 72}, seeded(1));
  const auto part = [&](int64_t i) { return all.narrow(1, 24 * i, 24); };
  Context context = GetParam();
  const Sequences sequences({13, 7});
  EXPECT_TRUE(attention(part(0), part(1), part(2), {3, 3}, sequences, context)
                  .equal(attention(part(0).contiguous(), part(1).contiguous(), part(2).contiguous(),
                                   {3, 3}, sequences, context)));
}

TEST_P(Attention, GoesOnBehindWhatItRemembers) {
  const at::NoGradGuard no_grad;
  const Heads heads{4, 2, true};
  constexpr int64_t kTokens = 150;
  const Sequences both({kTokens, kTokens});
  const auto [query, key, value] = random_inputs(2 * kTokens, 4 * 18, 2 * 18);
  Context context = GetParam();
  const Tensor whole = attention(query, key, value, heads, both, context);
  const int64_t macs = std::exchange(context.macs, 0);
  std::vector<KeyValues> memory(2);
  // As many as there are in both, odd ones too; one sequence ahead of the other, and none of it.
  std::array<int64_t, 2> done{};
  for (const auto& [a, b] : std::vector<std::array<int64_t, 2>>{
           {1, 40}, {33, 0}, {0, 1}, {3, 3}, {1, 1}, {50, 100}, {62, 5}}) {
    const auto rows = [&](const Tensor& x) {
      return at::cat({x.narrow(0, done[0], a), x.narrow(0, kTokens + done[1], b)});
    };
    const Tensor mixed =
        attention(rows(query), rows(key), rows(value), heads, Sequences({a, b}), context, &memory);
    EXPECT_TRUE(mixed.equal(rows(whole))) << done[0] << ", " << done[1];
    done[0] += a;
    done[1] += b;
    EXPECT_EQ(memory[0].tokens, done[0]);
  }
  EXPECT_EQ(done, (std::array<int64_t, 2>{kTokens, kTokens}));
  EXPECT_EQ(context.macs, macs);
  const int64_t element = context.type == at::kFloat ? 4 : 2;
  EXPECT_GE(memory[0].bytes(), kTokens * 2 * 2 * 18 * element);
  EXPECT_LE(memory[0].bytes(), 2 * kTokens * 2 * 2 * 32 * element);
}

TEST(AttentionInTraining, HasNoMemory) {
  const auto [query, key, value] = random_inputs(3, 8);
  Context context;
  std::vector<KeyValues> memory(1);
  EXPECT_THROW(attention(query, key, value, {2, 2, true}, Sequences({3}), context, &memory), Error);
  const at::NoGradGuard no_grad;
  EXPECT_THROW(attention(query, key, value, {2, 2}, Sequences({3}), context, &memory), Error);
}

TEST_P(Attention, KeepsItsPrecisionWhereScoresAreLarge) {
  const at::NoGradGuard no_grad;
  const auto [query, key, value] = random_inputs(40, 16);
  Context context = GetParam();
  // Products of numbers that bfloat16 has exactly.
  const Tensor many = (query * 40).round(), most = key.round();
  const Tensor mixed = attention(many, most, value, {1, 1}, Sequences({40}), context);
  const Tensor expected = scalar_attention(many, most, value, {1, 1}, Sequences({40}));
  EXPECT_LT((mixed - expected).abs().max().item<double>(), tolerance());
}

TEST_P(Attention, OfASequenceDoesNotDependOnTheOthersNorOnThreads) {
  const at::NoGradGuard no_grad;
  const Sequences sequences({50, 3, 17, 50, 1});
  const auto [query, key, value] = random_inputs(sequences.rows(), 24);
  Context context = GetParam();
  const Tensor mixed = attention(query, key, value, {3, 3}, sequences, context);
  const int before = at::get_num_threads();
  for (const int threads : {1, 3, 16}) {
    at::set_num_threads(threads);
    for (int64_t i = 0; i < 5; ++i) {
      const int64_t length = sequences.length(i);
      const auto own = [&](const Tensor& x) { return x.narrow(0, sequences.begin(i), length); };
      EXPECT_TRUE(attention(own(query), own(key), own(value), {3, 3}, Sequences({length}), context)
                      .equal(own(mixed)));
    }
  }
  at::set_num_threads(before);
}

TEST(AttentionInTraining, EqualsItsDefinition) {
  const Inputs inputs = random_inputs(18, 15);
  const Tensor query = inputs.query.requires_grad_();
  for (const Sequences& sequences : {Sequences({9, 9}), Sequences({4, 0, 13, 1})}) {
    Context context;
    const Tensor mixed = attention(query, inputs.key, inputs.value, {3, 3}, sequences, context);
    const Tensor expected =
        scalar_attention(query.detach(), inputs.key, inputs.value, {3, 3}, sequences);
    EXPECT_TRUE(at::allclose(mixed, expected, 1e-4, 1e-5));
  }
}

TEST(AttentionInTraining, OfBfloat16IsAsOfFloat) {
  const auto random = [](uint64_t seed) {
    return at::randn({18, 15}, seeded(seed)).to(at::kBFloat16).to(at::kFloat);
  };
  std::array<Tensor, 3> inputs{random(1), random(2), random(3)};
  const Sequences sequences({4, 14});
  const Tensor upstream = random(4);
  const auto train = [&](at::ScalarType type) {
    std::vector<Tensor> results;
    for (Tensor& input : inputs) input = input.detach().set_requires_grad(true);
    Context context;
    const Tensor mixed = attention(inputs[0].to(type), inputs[1].to(type), inputs[2].to(type),
                                   {3, 3}, sequences, context);
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
