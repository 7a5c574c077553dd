#include "pace/train/answers.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/error_of.h"

namespace pace {
namespace {

TEST(Answers, OfAClassifierAreCountedByExample) {
  const Tensor logits = at::tensor({2.0, 0.0, 0.0, 1.0, 0.0, 3.0}).view({3, 2});
  const Answers answers = compare(logits, {.labels = at::tensor({0, 1, 0}, at::kLong)}, {});
  EXPECT_EQ(answers.right, 2);
  EXPECT_EQ(answers.asked, 3);
  const double expected =
      std::log1p(std::exp(-2.0)) + std::log1p(std::exp(-1.0)) + std::log1p(std::exp(3.0));
  EXPECT_NEAR(answers.nats, expected, 1e-5);
  EXPECT_NEAR(answers.bits(), expected / 3 / std::log(2.0), 1e-5);
}

TEST(Answers, OfALanguageModelAreThoseOfTokensThatHaveANextOne) {
  const Tensor logits = at::zeros({2, 3, 4});
  logits[0][0][1] = 5.0;
  const Tensor labels = at::tensor({1, 0, -1, 3, -1, -1}, at::kLong).view({2, 3});
  Answers answers = compare(logits, {.labels = labels}, {});
  EXPECT_EQ(answers.asked, 3);
  EXPECT_EQ(answers.right, 2);  // the first of equal logits is the answer
  EXPECT_NEAR(answers.nats, std::log(3 + std::exp(5.0)) - 5.0 + 2 * std::log(4.0), 1e-4);
  EXPECT_NEAR(answer_loss(logits, {.labels = labels}, {}).item<double>(), answers.nats / 3, 1e-5);
  answers += answers;
  EXPECT_EQ(answers.asked, 6);
}

TEST(Answers, NeedSomethingToAsk) {
  const Answers none =
      compare(at::zeros({2, 1, 4}), {.labels = at::full({2, 1}, -1, at::kLong)}, {});
  EXPECT_THAT(error_of([&] { none.accuracy(); }),
              ::testing::HasSubstr("no text has a second token"));
  EXPECT_THAT(error_of([&] { none.bits(); }), ::testing::HasSubstr("nothing to answer"));
}

}  // namespace
}  // namespace pace
