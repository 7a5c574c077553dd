#include "pace/kernels/ragged.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/error_of.h"
#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

Learners random_learners(int64_t in, int64_t out, int64_t count, int64_t width,
                         Activation activation) {
  const int64_t hidden = count * width;
  return {at::randn({hidden, in}, seeded(1)),
          at::randn({hidden}, seeded(2)),
          at::randn({out, hidden}, seeded(3)),
          at::randn({count + 1, out}, seeded(4)),
          width,
          activation,
          {},
          {}};
}

/// With a dense map as the last choice.
Learners with_dense(Learners learners) {
  learners.dense_weight =
      at::randn({learners.out_weight.size(0), learners.in_weight.size(1)}, seeded(10));
  learners.dense_bias = at::randn({learners.out_weight.size(0)}, seeded(11));
  return learners;
}

/// One row, one learner and one number at a time.
Tensor scalar_reference(const Tensor& x, const Tensor& k, const Learners& learners) {
  Tensor result = at::empty({x.size(0), learners.offsets.size(1)});
  const Tensor dense = learners.dense_weight.defined()
                           ? at::linear(x.to(at::kDouble), learners.dense_weight.to(at::kDouble),
                                        learners.dense_bias.to(at::kDouble))
                           : Tensor();
  const auto rows = x.accessor<float, 2>(), in = learners.in_weight.accessor<float, 2>(),
             out = learners.out_weight.accessor<float, 2>(),
             offsets = learners.offsets.accessor<float, 2>();
  const auto bias = learners.in_bias.accessor<float, 1>();
  const auto chosen = k.accessor<int64_t, 1>();
  for (int64_t row = 0; row < x.size(0); ++row) {
    if (chosen[row] > learners.count()) {
      result[row].copy_(dense[row]);
      continue;
    }
    for (int64_t column = 0; column < result.size(1); ++column) {
      double sum = offsets[chosen[row]][column];
      for (int64_t unit = 0; unit < chosen[row] * learners.width; ++unit) {
        double before = bias[unit];
        for (int64_t i = 0; i < x.size(1); ++i) before += double{rows[row][i]} * in[unit][i];
        const double after = learners.activation == Activation::kIdentity
                                 ? before
                                 : before * 0.5 * std::erfc(-before / std::sqrt(2.0));
        sum += after * out[column][unit];
      }
      result[row][column] = sum;
    }
  }
  return result;
}

class RaggedMlp : public ::testing::TestWithParam<Context> {
 protected:
  PackedLearners pack(const Learners& learners) const {
    return PackedLearners(learners, GetParam());
  }
  /// Rounding of inputs, weights and hidden units to bfloat16 adds up; sums are float32.
  double tolerance(const Tensor& expected) const {
    const double scale = expected.abs().max().item<double>();
    return GetParam().type == at::kFloat ? 1e-5 + 3e-6 * scale : 0.02 * scale;
  }
};

INSTANTIATE_TEST_SUITE_P(Kernels, RaggedMlp, ::testing::ValuesIn(contexts_here()), context_name);

struct Sizes {
  int64_t in, out, count, width;
};

TEST_P(RaggedMlp, EqualsTheScalarReferenceOverOddSizes) {
  for (int64_t rows : {1, 2, 7, 33, 131}) {
    for (const auto& [in, out, count, width] :
         std::vector<Sizes>{{1, 1, 1, 1}, {5, 3, 4, 2}, {17, 9, 3, 7}, {65, 66, 5, 31}}) {
      for (Activation activation : {Activation::kGelu, Activation::kIdentity}) {
        const Learners learners = random_learners(in, out, count, width, activation);
        const Tensor x = at::randn({rows, in}, seeded(rows));
        const Tensor k = at::randint(count + 1, {rows}, seeded(7), at::kLong);
        Context context;
        const Tensor y = ragged_mlp(x, k, pack(learners), context);
        const Tensor expected = scalar_reference(x, k, learners);
        EXPECT_LT((y - expected).abs().max().item<double>(), tolerance(expected))
            << rows << " rows, " << in << " to " << out;
        EXPECT_EQ(context.macs, k.sum().item<int64_t>() * width * (in + out));
      }
    }
  }
}

TEST_P(RaggedMlp, RunsTheDenseMapOfRowsThatChooseIt) {
  for (int64_t rows : {1, 2, 40, 131}) {
    for (const auto& [in, out, count, width] :
         std::vector<Sizes>{{1, 1, 1, 1}, {5, 3, 4, 2}, {65, 66, 5, 31}}) {
      const Learners learners =
          with_dense(random_learners(in, out, count, width, Activation::kGelu));
      const Tensor x = at::randn({rows, in}, seeded(rows));
      for (const Tensor& k : {at::randint(count + 2, {rows}, seeded(7), at::kLong),
                              at::full({rows}, count + 1, at::kLong)}) {
        Context context, other;
        const Tensor y = ragged_mlp(x, k, pack(learners), context);
        const Tensor expected = scalar_reference(x, k, learners);
        EXPECT_LT((y - expected).abs().max().item<double>(), tolerance(expected))
            << rows << " rows, " << in << " to " << out;
        EXPECT_TRUE(at::allclose(grouped_mlp(x, k, learners, other), expected, 1e-4, 1e-4));
        const int64_t dense = k.eq(count + 1).sum().item<int64_t>();
        const int64_t run = k.sum().item<int64_t>() - dense * (count + 1);
        EXPECT_EQ(context.macs, run * width * (in + out) + dense * in * out);
        EXPECT_EQ(other.macs, context.macs);
      }
    }
  }
}

TEST_P(RaggedMlp, EqualsGroupedTensorOperationsBeyondOneSlice) {
  // More than one slice of the input, one chunk of hidden units and one block of rows.
  const Learners learners = with_dense(random_learners(450, 70, 16, 61, Activation::kGelu));
  const Tensor x = at::randn({300, 450}, seeded(5)) * 0.05;
  const Tensor k = at::randint(18, {300}, seeded(6), at::kLong);
  Context context, other;
  const Tensor y = ragged_mlp(x, k, pack(learners), context);
  const Tensor expected = grouped_mlp(x, k, learners, other);
  EXPECT_LT((y - expected).abs().max().item<double>(), tolerance(expected));
  EXPECT_EQ(context.macs, other.macs);
}

TEST_P(RaggedMlp, GivesARowTheSameBitsWhateverStandsBesideIt) {
  const Learners learners = with_dense(random_learners(33, 40, 8, 27, Activation::kGelu));
  const PackedLearners packed = pack(learners);
  const Tensor x = at::randn({150, 33}, seeded(5));
  const Tensor k = at::randint(10, {150}, seeded(6), at::kLong);
  Context context;
  const Tensor all = ragged_mlp(x, k, packed, context);
  for (int64_t first = 0; first < 150; first += 29) {
    const Tensor some =
        ragged_mlp(x.slice(0, first, first + 13), k.slice(0, first, first + 13), packed, context);
    EXPECT_TRUE(some.equal(all.slice(0, first, first + 13))) << first;
  }
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  EXPECT_TRUE(ragged_mlp(x, k, packed, context).equal(all));
  at::set_num_threads(threads);
}

TEST_P(RaggedMlp, IsAsExactAsItsTypeAllows) {
  // One product at a time: powers of two are exact in either type, so the sum must be as well.
  Learners learners = random_learners(3, 2, 2, 4, Activation::kIdentity);
  for (Tensor* tensor :
       {&learners.in_weight, &learners.in_bias, &learners.out_weight, &learners.offsets}) {
    *tensor = at::pow(2.0, at::randint(-2, 3, tensor->sizes(), seeded(9), at::kFloat));
  }
  const Tensor x = at::pow(2.0, at::randint(-2, 3, {5, 3}, seeded(8), at::kFloat));
  const Tensor k = at::tensor({2, 0, 1, 1, 2}, at::kLong);
  learners.in_bias.zero_();
  learners.in_weight.slice(1, 1).zero_();
  Context context;
  EXPECT_TRUE(ragged_mlp(x, k, pack(learners), context).equal(scalar_reference(x, k, learners)));
}

TEST_P(RaggedMlp, RunsNothingWhereNothingIsChosen) {
  const Learners learners = random_learners(4, 3, 2, 5, Activation::kGelu);
  Context context;
  const Tensor y =
      ragged_mlp(at::randn({6, 4}), at::zeros({6}, at::kLong), pack(learners), context);
  EXPECT_TRUE(y.equal(learners.offsets[0].expand({6, 3})));
  EXPECT_EQ(context.macs, 0);
}

TEST_P(RaggedMlp, TakesNoRows) {
  const Learners learners = random_learners(4, 3, 2, 5, Activation::kGelu);
  Context context;
  const Tensor y =
      ragged_mlp(at::empty({0, 4}), at::empty({0}, at::kLong), pack(learners), context);
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{0, 3}));
}

TEST(RaggedMlpErrors, RefusesChoicesThatDoNotFit) {
  const Learners learners = random_learners(4, 3, 2, 5, Activation::kGelu);
  Context context;
  const auto run = [&](const Tensor& k) {
    return error_of([&] {
      ragged_mlp(at::randn({2, 4}), k, PackedLearners(learners, context), context);
    });
  };
  EXPECT_EQ(run(at::tensor({0, 3}, at::kLong)), "ragged MLP: k is 3 where the greatest is 2");
  EXPECT_EQ(run(at::tensor({0, -1}, at::kLong)), "ragged MLP: k is -1 where the greatest is 2");
  EXPECT_EQ(run(at::tensor({0}, at::kLong)), "ragged MLP: k has 1 entries for 2 rows");
  EXPECT_EQ(error_of([&] { PackedLearners(learners, {.type = at::kHalf}); }),
            "products of type Half; there are kernels for float32 and bfloat16");
}

}  // namespace
}  // namespace pace::kernels
