#include "pace/adaptive/losses.h"

#include <gtest/gtest.h>

#include <cmath>

namespace pace {
namespace {

/// A ledger of one part with choices 0..2 costing 0, 10 and 20 MACs, 100 fixed MACs per example.
/// One row of choices for each example.
Ledger ledger_of(const std::vector<std::vector<int64_t>>& examples) {
  std::vector<int64_t> lengths, choices;
  for (const std::vector<int64_t>& example : examples) {
    lengths.push_back(std::ssize(example));
    choices.insert(choices.end(), example.begin(), example.end());
  }
  const Tensor choice = at::tensor(choices, at::kLong);
  Ledger ledger;
  ledger.open(kernels::Sequences(lengths));
  ledger.charge(100.0);
  const Tensor soft = at::one_hot(choice, 3).to(at::kFloat).requires_grad_();
  ledger.record({"part", choice, soft, at::tensor({0.0, 10.0, 20.0}, at::kDouble)});
  return ledger;
}

TEST(Ledger, AddsUpByExample) {
  Ledger ledger = ledger_of({{0, 1}, {2, 2, 1}});
  EXPECT_TRUE(ledger.macs().equal(at::tensor({110.0, 150.0}, at::kDouble)));
  ledger.charge_tokens(1.0);
  EXPECT_TRUE(ledger.macs().equal(at::tensor({112.0, 153.0}, at::kDouble)));
  ledger.charge_pairs(2.0);
  EXPECT_TRUE(ledger.macs().equal(at::tensor({120.0, 171.0}, at::kDouble)));
  EXPECT_FLOAT_EQ(ledger.soft_macs().item<float>(), (120.0 + 171.0) / 2);
}

TEST(Ledger, ChargesThoseThatAreLeft) {
  Ledger ledger = ledger_of({{0, 1}, {2, 2, 1}, {1}});
  EXPECT_TRUE(ledger.macs().equal(at::tensor({110.0, 150.0, 110.0}, at::kDouble)));
  ledger.keep(at::tensor({0, 2}, at::kLong), kernels::Sequences({2, 1}));
  ledger.charge(1.0);
  ledger.charge_tokens(10.0);
  ledger.record(
      {"later", at::tensor({1, 0, 1}, at::kLong), {}, at::tensor({0.0, 5.0}, at::kDouble)});
  EXPECT_TRUE(ledger.macs().equal(at::tensor({136.0, 150.0, 126.0}, at::kDouble)));
  ledger.keep(at::tensor({2}, at::kLong), kernels::Sequences({1}));
  ledger.charge_pairs(7.0);
  EXPECT_TRUE(ledger.macs().equal(at::tensor({136.0, 150.0, 133.0}, at::kDouble)));
}

TEST(Ledger, OpenedAgainIsEmpty) {
  Ledger ledger = ledger_of({{0, 1}, {2, 2, 1}});
  ledger.open(kernels::Sequences({4}));
  EXPECT_TRUE(ledger.macs().equal(at::zeros({1}, at::kDouble)));
}

TEST(BudgetLoss, IsThePriceOfTheShareSpent) {
  const Ledger ledger = ledger_of({{0, 1}, {2, 2}});
  EXPECT_NEAR(budget_loss(ledger, 200.0, 0.5).item<double>(), 0.5 * 125.0 / 200, 1e-6);
  EXPECT_NEAR(budget_loss(ledger, 200.0, -2.0).item<double>(), -2.0 * 125.0 / 200, 1e-6);
}

TEST(BudgetLoss, ItsGradientPushesTowardsCheaperChoices) {
  const Ledger ledger = ledger_of({{0, 1}, {2, 2}});
  budget_loss(ledger, 200.0, 0.7).backward();
  const Tensor gradient = ledger.decisions()[0].soft.grad();
  EXPECT_GT(gradient[0][2].item<float>(), gradient[0][1].item<float>());
  EXPECT_GT(gradient[0][1].item<float>(), gradient[0][0].item<float>());
}

TEST(EntropyLoss, IsLeastWhenChoicesAreSpread) {
  EXPECT_NEAR(entropy_loss(ledger_of({{0, 1, 2}})).item<double>(), -1.0, 1e-4);
  EXPECT_NEAR(entropy_loss(ledger_of({{1, 1, 1}})).item<double>(), 0.0, 1e-4);
  // (1/3, 2/3) over three choices, by hand.
  const double expected = (std::log(1.0 / 3) / 3 + 2 * std::log(2.0 / 3) / 3) / std::log(3.0);
  EXPECT_NEAR(entropy_loss(ledger_of({{0, 2, 2}})).item<double>(), expected, 1e-4);
}

TEST(DiversityLoss, IsMinusTheMeanGapBetweenExamples) {
  // Shares 0, 1/2 and 1: gaps 1/2, 1/2 and 1.
  const Ledger ledger = ledger_of({{0, 0}, {1, 1}, {2, 2}});
  EXPECT_NEAR(diversity_loss(ledger).item<double>(), -2.0 / 3, 1e-6);
  // Of different lengths, shares all the same.
  EXPECT_NEAR(diversity_loss(ledger_of({{0}, {0, 0, 0}, {2, 2}})).item<double>(), -2.0 / 3, 1e-6);
  EXPECT_EQ(diversity_loss(ledger_of({{0, 1}})).item<double>(), 0.0);
}

}  // namespace
}  // namespace pace
