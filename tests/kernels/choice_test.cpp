#include "pace/kernels/choice.h"

#include <gtest/gtest.h>

namespace pace::kernels {
namespace {

TEST(BestChoice, IsTheFirstGreatestAfterCharges) {
  const Tensor scores = at::tensor({1.0F, 2.0F, 3.0F, 3.0F, 3.0F, 3.0F, 0.0F, 1.0F, 0.0F});
  const Tensor charges = at::tensor({0.0F, 1.0F, 2.5F});
  EXPECT_TRUE(best_choice(scores.view({3, 3}), charges).equal(at::zeros({3}, at::kLong)));
  EXPECT_TRUE(
      best_choice(scores.view({3, 3}), at::zeros({3})).equal(at::tensor({2, 0, 1}, at::kLong)));
  EXPECT_EQ(best_choice(at::empty({0, 3}), charges).numel(), 0);
}

TEST(BestChoice, EqualsTensorOperationsOnManyRows) {
  const Tensor scores = at::randn({5000, 9}), charges = at::randn({9});
  EXPECT_TRUE(best_choice(scores, charges).equal((scores - charges).argmax(1)));
  EXPECT_TRUE(
      best_choice(scores.t().contiguous().t(), charges).equal(best_choice(scores, charges)));
}

}  // namespace
}  // namespace pace::kernels
