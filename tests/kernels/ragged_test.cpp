#include "pace/kernels/ragged.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/error_of.h"

namespace pace::kernels {
namespace {

at::Generator seeded(uint64_t seed) { return at::make_generator<at::CPUGeneratorImpl>(seed); }

Learners random_learners(int64_t in, int64_t out, int64_t count, int64_t width,
                         Activation activation) {
  const int64_t hidden = count * width;
  return {at::randn({hidden, in}, seeded(1)),
          at::randn({hidden}, seeded(2)),
          at::randn({out, hidden}, seeded(3)),
          at::randn({count + 1, out}, seeded(4)),
          width,
          activation};
}

/// One row, one learner and one number at a time.
Tensor scalar_reference(const Tensor& x, const Tensor& k, const Learners& learners) {
  Tensor result = at::empty({x.size(0), learners.offsets.size(1)});
  const auto rows = x.accessor<float, 2>(), in = learners.in_weight.accessor<float, 2>(),
             out = learners.out_weight.accessor<float, 2>(),
             offsets = learners.offsets.accessor<float, 2>();
  const auto bias = learners.in_bias.accessor<float, 1>();
  const auto chosen = k.accessor<int64_t, 1>();
  for (int64_t row = 0; row < x.size(0); ++row) {
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

TEST(RaggedMlp, EqualsTheScalarReferenceOverOddSizes) {
  for (int64_t rows : {1, 2, 7, 33}) {
    for (const auto& [in, out, count, width] :
         std::vector<std::array<int64_t, 4>>{{1, 1, 1, 1}, {5, 3, 4, 2}, {17, 9, 3, 7}}) {
      for (Activation activation : {Activation::kGelu, Activation::kIdentity}) {
        const Learners learners = random_learners(in, out, count, width, activation);
        const Tensor x = at::randn({rows, in}, seeded(rows));
        const Tensor k = at::randint(count + 1, {rows}, seeded(7), at::kLong);
        MacCounter counter;
        const Tensor y = ragged_mlp(x, k, learners, counter);
        EXPECT_LT((y - scalar_reference(x, k, learners)).abs().max().item<double>(), 1e-4);
        EXPECT_EQ(counter.macs, k.sum().item<int64_t>() * width * (in + out));
      }
    }
  }
}

TEST(RaggedMlp, RunsNothingWhereNothingIsChosen) {
  const Learners learners = random_learners(4, 3, 2, 5, Activation::kGelu);
  MacCounter counter;
  const Tensor y = ragged_mlp(at::randn({6, 4}), at::zeros({6}, at::kLong), learners, counter);
  EXPECT_TRUE(y.equal(learners.offsets[0].expand({6, 3})));
  EXPECT_EQ(counter.macs, 0);
}

TEST(RaggedMlp, TakesNoRows) {
  const Learners learners = random_learners(4, 3, 2, 5, Activation::kGelu);
  MacCounter counter;
  const Tensor y = ragged_mlp(at::empty({0, 4}), at::empty({0}, at::kLong), learners, counter);
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{0, 3}));
}

TEST(RaggedMlp, RefusesChoicesThatDoNotFit) {
  const Learners learners = random_learners(4, 3, 2, 5, Activation::kGelu);
  MacCounter counter;
  const auto run = [&](const Tensor& k) {
    return error_of([&] { ragged_mlp(at::randn({2, 4}), k, learners, counter); });
  };
  EXPECT_EQ(run(at::tensor({0, 3}, at::kLong)),
            "ragged_mlp: k reaches 3 where there are 2 learners");
  EXPECT_EQ(run(at::tensor({0}, at::kLong)), "ragged_mlp: k has 1 entries for 2 rows");
}

}  // namespace
}  // namespace pace::kernels
