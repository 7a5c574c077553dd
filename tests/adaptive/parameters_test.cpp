#include "pace/adaptive/parameters.h"

#include <gmock/gmock.h>

#include <limits>

#include "pace/base/error.h"

namespace pace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

WeightSource source_of(const std::string& name, const Tensor& tensor) {
  return [=](const std::string& asked) {
    return asked == name ? std::optional(tensor) : std::nullopt;
  };
}

bool any(const std::string&) { return true; }

TEST(Parameters, OwnsAFloatCopyThatRequiresGradients) {
  const Tensor given = at::arange(6, at::kHalf).view({2, 3});
  Parameters parameters(source_of("w", given));
  const Tensor w = parameters.add("w", {2, 3});
  EXPECT_EQ(w.scalar_type(), at::kFloat);
  EXPECT_TRUE(w.requires_grad());
  EXPECT_TRUE(w.is_leaf());
  given.zero_();
  EXPECT_EQ(w.sum().item<float>(), 15.0f);
  EXPECT_TRUE(parameters.at("w").is_same(w));
  EXPECT_EQ(parameters.count(), 6);
}

TEST(Parameters, KeepsNoHandleOnAFloatSourceEither) {
  const Tensor given = at::ones({4});
  Parameters parameters(source_of("w", given));
  const Tensor w = parameters.add("w", {4});
  given.zero_();
  EXPECT_EQ(w.sum().item<float>(), 4.0f);
}

TEST(Parameters, RefusesWhatDoesNotFit) {
  const auto add = [](const Tensor& given, std::vector<int64_t> shape) {
    return [=] { Parameters(source_of("w", given), any, 0, "folder").add("w", shape); };
  };
  EXPECT_THAT(add(at::ones({2, 3}), {3, 2}),
              ThrowsMessage<Error>(AllOf(HasSubstr("folder"), HasSubstr("'w'"), HasSubstr("[2, 3]"),
                                         HasSubstr("[3, 2]"))));
  EXPECT_THAT(add(at::ones({2}, at::kLong), {2}),
              ThrowsMessage<Error>(AllOf(HasSubstr("'w'"), HasSubstr("floating-point"))));
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity(), -1e300}) {
    const Tensor given = at::ones({5}, at::kDouble);
    given[3] = bad;
    EXPECT_THAT(add(given, {5}), ThrowsMessage<Error>(AllOf(HasSubstr("'w'"), HasSubstr("1 value"),
                                                            HasSubstr("NaN or infinite"))));
  }
}

TEST(Parameters, RefusesWhatIsMissingUnlessItMayBegin) {
  const auto begins = [](const std::string& name) { return name == "new"; };
  Parameters parameters(no_weights(), begins);
  EXPECT_EQ(parameters.add("new", {3}, Initial::ones()).sum().item<float>(), 3.0f);
  EXPECT_THAT([&] { parameters.add("old", {3}, Initial::ones()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("'old'"), HasSubstr("missing"))));
  Parameters all(no_weights(), any);
  EXPECT_THROW(all.add("required", {3}), Error);
  EXPECT_THROW(Parameters(no_weights()).add("strict", {3}, Initial::ones()), Error);
}

TEST(Parameters, RefusesANameTwiceAndANameUnknown) {
  Parameters parameters(no_weights(), any);
  parameters.add("w", {1}, Initial::zeros());
  EXPECT_THROW(parameters.add("w", {1}, Initial::zeros()), Error);
  EXPECT_THROW(parameters.at("v"), Error);
}

TEST(Parameters, DrawsANormalCutOffAtTwoDeviations) {
  Parameters parameters(no_weights(), any, 7);
  const Tensor drawn = parameters.add("w", {100, 1000}, Initial::normal(0.5)).detach();
  EXPECT_LE(drawn.abs().max().item<double>(), 1.0 + 1e-6);
  EXPECT_NEAR(drawn.mean().item<double>(), 0.0, 0.01);
  // A normal cut off at two deviations has 0.8796 of its deviation.
  EXPECT_NEAR(drawn.std().item<double>(), 0.5 * 0.8796, 0.01);
  Parameters again(no_weights(), any, 7), other(no_weights(), any, 8);
  EXPECT_TRUE(again.add("w", {100, 1000}, Initial::normal(0.5)).equal(drawn));
  EXPECT_FALSE(other.add("w", {100, 1000}, Initial::normal(0.5)).equal(drawn));
}

}  // namespace
}  // namespace pace
