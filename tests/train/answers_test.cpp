#include "pace/train/answers.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"

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

/// Letters by their ids: blank, space, A, B.
std::shared_ptr<const CtcVocabulary> letters() {
  const TemporaryFolder folder;
  write_text(folder / "vocab.json", R"({"<pad>": 0, "|": 1, "A": 2, "B": 3})");
  return std::make_shared<CtcVocabulary>(CtcVocabulary::open(folder.path(), 4));
}

TEST(Answers, OfSpeechAreCharactersThatNeedNoEdit) {
  // "AB A" was said twice. The first sound's frames say so; the second's say "A", and end early.
  const at::Tensor best = at::tensor({2L, 2L, 3L, 0L, 1L, 2L, 2L, 0L, 0L, 0L, 3L, 3L}).view({2, 6});
  const Tensor logits = 9.0 * at::one_hot(best, 4).to(at::kFloat);
  const Batch batch{.labels = at::tensor({2L, 3L, 1L, 2L, 2L, 3L, 1L, 2L}).view({2, 4}),
                    .vocabulary = letters(),
                    .said = {"AB A", "AB A"}};
  const kernels::Sequences frames({6, 4});
  const Answers answers = compare(logits, batch, frames);
  EXPECT_EQ(answers.asked, 8);
  EXPECT_EQ(answers.right, 5) << "what stands behind the second sound's end does not count";
  EXPECT_EQ(answers.edits.reference_words, 4);
  EXPECT_EQ(answers.edits.words, 1);
  EXPECT_EQ(answers.edits.word_error_rate(), 0.25);
  EXPECT_NEAR(answer_loss(logits, batch, frames).item<double>(), answers.nats / 8, 1e-5);
}

TEST(Answers, OfSpeechHaveTheLossOfAllAlignments) {
  // Two frames for one letter: it may stand in both or in either.
  const Tensor logits = at::randn({1, 2, 4});
  const Tensor p = logits[0].softmax(-1).to(at::kDouble);
  const auto of = [&](int64_t frame, int64_t id) { return p[frame][id].item<double>(); };
  const double all = of(0, 2) * of(1, 2) + of(0, 0) * of(1, 2) + of(0, 2) * of(1, 0);
  const Batch batch{
      .labels = at::tensor({2L}).view({1, 1}), .vocabulary = letters(), .said = {"A"}};
  EXPECT_NEAR(compare(logits, batch, kernels::Sequences({2})).nats, -std::log(all), 1e-5);
}

TEST(Answers, DivergeOnlyWhereThereAreFrames) {
  const Tensor wanted = at::randn({2, 3, 4}), logits = at::randn({2, 3, 4});
  const Tensor each = divergence(wanted, logits);
  const Tensor expected = (each[0].sum() + each[1][0]) / 4;
  EXPECT_NEAR(mean_divergence(wanted, logits, kernels::Sequences({3, 1})).item<double>(),
              expected.item<double>(), 1e-6);
  EXPECT_NEAR(mean_divergence(wanted[0], logits[0], {}).item<double>(),
              each[0].mean().item<double>(), 1e-6);
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
