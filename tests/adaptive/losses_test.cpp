#include "pace/adaptive/losses.h"

#include <gtest/gtest.h>

#include <cmath>

namespace pace {
namespace {

/// A ledger of one part with choices 0..2 costing 0, 10 and 20 MACs, 100 fixed MACs per example.
Ledger ledger_of(const Tensor& choice) {
  Ledger ledger;
  ledger.open(choice.size(0));
  ledger.charge(100.0);
  const Tensor soft = at::one_hot(choice, 3).to(at::kFloat).requires_grad_();
  ledger.record({"part", choice, soft, at::tensor({0.0, 10.0, 20.0}, at::kDouble)});
  return ledger;
}

TEST(Ledger, AddsUpByExample) {
  Ledger ledger = ledger_of(at::tensor({0, 1, 2, 2}, at::kLong).view({2, 2}));
  ledger.charge(at::tensor({1.0, 2.0}, at::kDouble));
  EXPECT_TRUE(ledger.macs().equal(at::tensor({111.0, 142.0}, at::kDouble)));
  EXPECT_FLOAT_EQ(ledger.soft_macs().item<float>(), (111.0 + 142.0) / 2);
}

TEST(Ledger, CountsNoPadding) {
  Ledger ledger;
  ledger.open(1);
  ledger.record({"part",
                 at::tensor({2, -1}, at::kLong).view({1, 2}),
                 {},
                 at::tensor({0.0, 1.0, 2.0}, at::kDouble)});
  EXPECT_EQ(ledger.macs().item<double>(), 2.0);
}

TEST(BudgetLoss, IsThePriceOfTheShareSpent) {
  const Ledger ledger = ledger_of(at::tensor({0, 1, 2, 2}, at::kLong).view({2, 2}));
  EXPECT_NEAR(budget_loss(ledger, 200.0, 0.5).item<double>(), 0.5 * 125.0 / 200, 1e-6);
  EXPECT_NEAR(budget_loss(ledger, 200.0, -2.0).item<double>(), -2.0 * 125.0 / 200, 1e-6);
}

TEST(BudgetLoss, ItsGradientPushesTowardsCheaperChoices) {
  const Ledger ledger = ledger_of(at::tensor({0, 1, 2, 2}, at::kLong).view({2, 2}));
  budget_loss(ledger, 200.0, 0.7).backward();
  const Tensor gradient = ledger.decisions()[0].soft.grad();
  EXPECT_GT(gradient[0][0][2].item<float>(), gradient[0][0][1].item<float>());
  EXPECT_GT(gradient[0][0][1].item<float>(), gradient[0][0][0].item<float>());
}

TEST(EntropyLoss, IsLeastWhenChoicesAreSpread) {
  EXPECT_NEAR(entropy_loss(ledger_of(at::tensor({0, 1, 2}, at::kLong).view({1, 3}))).item<double>(),
              -1.0, 1e-4);
  EXPECT_NEAR(entropy_loss(ledger_of(at::tensor({1, 1, 1}, at::kLong).view({1, 3}))).item<double>(),
              0.0, 1e-4);
  // (1/3, 2/3) over three choices, by hand.
  const double expected = (std::log(1.0 / 3) / 3 + 2 * std::log(2.0 / 3) / 3) / std::log(3.0);
  EXPECT_NEAR(entropy_loss(ledger_of(at::tensor({0, 2, 2}, at::kLong).view({1, 3}))).item<double>(),
              expected, 1e-4);
}

TEST(DiversityLoss, IsMinusTheMeanGapBetweenExamples) {
  // Shares 0, 1/2 and 1: gaps 1/2, 1/2 and 1.
  const Ledger ledger = ledger_of(at::tensor({0, 0, 1, 1, 2, 2}, at::kLong).view({3, 2}));
  EXPECT_NEAR(diversity_loss(ledger).item<double>(), -2.0 / 3, 1e-6);
  EXPECT_EQ(diversity_loss(ledger_of(at::tensor({0, 1}, at::kLong).view({1, 2}))).item<double>(),
            0.0);
}

}  // namespace
}  // namespace pace
