#include "pace/kernels/sequences.h"

#include <gtest/gtest.h>

namespace pace::kernels {
namespace {

TEST(Sequences, LieOneAfterAnother) {
  const Sequences sequences({2, 0, 3});
  EXPECT_EQ(sequences.count(), 3);
  EXPECT_EQ(sequences.rows(), 5);
  EXPECT_EQ(sequences.begin(2), 2);
  EXPECT_EQ(sequences.length(1), 0);
  EXPECT_EQ(sequences.longest(), 3);
  EXPECT_TRUE(sequences.begins().equal(at::tensor({0, 2, 2}, at::kLong)));
  EXPECT_TRUE(sequences.lengths().equal(at::tensor({2, 0, 3}, at::kLong)));
  EXPECT_FALSE(sequences.of_equal_length());
  EXPECT_TRUE(Sequences::equal(3, 4).of_equal_length());
  EXPECT_TRUE(Sequences().of_equal_length());
}

TEST(Sequences, AreSummedEachByItself) {
  const Tensor rows = at::arange(10, at::kFloat).view({5, 2});
  const Tensor sums = Sequences({2, 0, 3}).sum(rows);
  EXPECT_TRUE(sums.equal(at::tensor({2.0F, 4.0F, 0.0F, 0.0F, 18.0F, 21.0F}).view({3, 2})));
  EXPECT_TRUE(Sequences({5}).sum(rows).equal(rows.sum(0, true)));
}

TEST(Sequences, ComeBackFromTheirPaddedForm) {
  for (const Sequences& sequences :
       {Sequences({2, 0, 3}), Sequences({5}), Sequences::equal(5, 1)}) {
    const Tensor rows = at::randn({5, 2}).requires_grad_();
    const Tensor padded = sequences.pad(rows);
    EXPECT_EQ(padded.sizes(), (at::IntArrayRef{sequences.count(), sequences.longest(), 2}));
    EXPECT_TRUE(sequences.unpad(padded).equal(rows));
    EXPECT_EQ(padded.ne(0).sum().item<int64_t>(), rows.numel());
    padded.sum().backward();
    EXPECT_TRUE(rows.grad().equal(at::ones_like(rows)));
  }
}

}  // namespace
}  // namespace pace::kernels
