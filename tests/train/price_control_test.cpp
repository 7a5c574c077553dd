#include "pace/train/price_control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "pace/base/random.h"

namespace pace {
namespace {

TEST(PriceControl, BeginsAtNoPriceAndFollowsWhatIsSpent) {
  PriceControl control(0.2, 0.8);
  EXPECT_EQ(control.price(0.5), 0.0);
  control.update(0.5, 0.1);
  EXPECT_GT(control.price(0.5), 0.0);
  EXPECT_EQ(control.price(0.2), 0.0);
  EXPECT_EQ(control.price(0.8), 0.0);
  control.update(0.5, -0.2);
  EXPECT_LT(control.price(0.5), 0.0);
}

TEST(PriceControl, FindsThePriceThatMeetsEachBudget) {
  // Spends more than it is told the lower the budget: as gates do that only know the task.
  const auto spent = [](double budget, double price) {
    return std::clamp(0.4 + 0.5 * budget - 0.06 * price, 0.0, 1.0);
  };
  PriceControl control(0.2, 0.8);
  auto random = random_for({3});
  for (int step = 0; step < 2000; ++step) {
    const double budget = 0.2 + 0.6 * static_cast<double>(random() % 1000) / 999.0;
    control.update(budget, spent(budget, control.price(budget)) - budget);
  }
  for (double budget = 0.2; budget <= 0.8; budget += 0.05) {
    EXPECT_NEAR(spent(budget, control.price(budget)), budget, 0.01) << "at budget " << budget;
  }
}

TEST(PriceControl, StaysPutWhereTheLeastIsSpent) {
  PriceControl control(0.2, 0.8);
  const auto spent = [](double price) { return std::clamp(0.5 - 0.1 * price, 0.3, 1.0); };
  for (int step = 0; step < 1000; ++step) {
    control.update(0.2, spent(control.price(0.2)) - 0.3);  // nothing less can be spent
  }
  EXPECT_NEAR(control.price(0.2), 2.0, 0.1);
}

TEST(PriceControl, OneBudgetIsARange) {
  PriceControl control(0.5, 0.5);
  control.update(0.5, 0.25);
  EXPECT_GT(control.price(0.5), 0.0);
}

TEST(PriceControl, ItsStateIsAllThereIs) {
  PriceControl control(0.2, 0.8), restored(0.2, 0.8);
  for (double budget : {0.25, 0.4, 0.71}) control.update(budget, 0.9 - budget);
  Tensor state = restored.state();
  state.copy_(control.state());
  for (double budget : {0.2, 0.33, 0.5, 0.8}) {
    EXPECT_EQ(restored.price(budget), control.price(budget));
  }
}

}  // namespace
}  // namespace pace
