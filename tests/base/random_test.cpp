#include "pace/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace pace {
namespace {

TEST(RandomFor, SameKeySameNumbers) {
  auto a = random_for({7, 1, 2}), b = random_for({7, 1, 2});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a(), b());
}

TEST(RandomFor, NeverChangesBetweenReleases) {
  // A resumed run must draw what it would have drawn before an upgrade.
  EXPECT_EQ(random_for({1, 2, 3})(), 17051508403818432521ULL);
  EXPECT_EQ(random_for({})(), 16461397835623557320ULL);
}

TEST(RandomFor, KeysThatDifferAnywhereDiffer) {
  std::set<uint64_t> seen;
  for (uint64_t a = 0; a < 20; ++a)
    for (uint64_t b = 0; b < 20; ++b) {
      seen.insert(random_for({a, b})());
      seen.insert(random_for({a, b, 0})());
    }
  seen.insert(random_for({})());
  EXPECT_EQ(seen.size(), 801u);
}

TEST(RandomFor, NeighbouringKeysLookIndependent) {
  // The first draws of consecutive indices: mean and neighbour correlation as of independent
  // uniforms.
  constexpr int kCount = 20000;
  double sum = 0, products = 0, last = 0;
  for (int i = 0; i < kCount; ++i) {
    const double uniform =
        std::ldexp(static_cast<double>(random_for({1, uint64_t(i)})()), -64) - 0.5;
    sum += uniform;
    products += uniform * last;
    last = uniform;
  }
  // Five standard errors: 1/sqrt(12 n) for the mean, 1/(12 sqrt(n)) for the product.
  EXPECT_NEAR(sum / kCount, 0, 5 / std::sqrt(12.0 * kCount));
  EXPECT_NEAR(products / kCount, 0, 5 / (12 * std::sqrt(double(kCount))));
}

}  // namespace
}  // namespace pace
