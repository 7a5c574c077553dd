#include "pace/eval/evaluate.h"
#include "pace/data/picture_loader.h"

#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <numeric>

#include "tests/eval/tiny.h"

namespace pace {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr std::array kFields{"budget",        "accuracy",         "macs", "macs_fraction",
                             "time_fraction", "seconds_per_item", "items"};

PictureLoader loader(int64_t size, int64_t broken = -1) {
  return PictureLoader(std::make_shared<tiny::Pictures>(size, broken), tiny::processor(),
                       {.batch = 8, .skip_broken = broken >= 0});
}

TEST(Evaluate, MeasuresDenseAndEveryBudget) {
  const LoadedModel model = tiny::adaptive(), dense = tiny::dense();
  PictureLoader pictures = loader(30);
  const Evaluation evaluation = evaluate(model, &dense, pictures, {1.0, 0.5}, quiet());
  EXPECT_EQ(evaluation.dense.items, 30);
  EXPECT_DOUBLE_EQ(evaluation.dense.macs_fraction, 1.0);
  EXPECT_DOUBLE_EQ(evaluation.dense.time_fraction, 1.0);
  ASSERT_EQ(evaluation.budgets.size(), 2u);
  for (const Result& result : evaluation.budgets) {
    EXPECT_EQ(result.items, 30);
    EXPECT_GT(result.seconds_per_item, 0.0);
    EXPECT_GT(result.macs_fraction, 0.0);
    EXPECT_EQ(result.example_fractions.size(), 30u);
    ASSERT_EQ(result.choices.size(), model.modules.size());
    for (const SiteChoices& part : result.choices) {
      EXPECT_EQ(std::accumulate(part.tokens.begin(), part.tokens.end(), int64_t{0}), 30 * 17);
    }
  }
}

TEST(Evaluate, AccuracyIsThatOfTheLogits) {
  const LoadedModel model = tiny::adaptive();
  PictureLoader pictures = loader(30);
  int64_t correct = 0;
  pictures.start(0);
  while (const auto batch = pictures.next()) {
    Pass pass = model.pass_at(0.5);
    const Tensor logits = model.model->forward(batch->inputs, pass);
    correct += logits.argmax(-1).eq(batch->labels).sum().item<int64_t>();
  }
  const Evaluation evaluation = evaluate(model, nullptr, pictures, {0.5}, quiet());
  EXPECT_DOUBLE_EQ(evaluation.budgets[0].accuracy, correct / 30.0);
  EXPECT_DOUBLE_EQ(score(model, pictures, 0.5, 0.0).accuracy, correct / 30.0);
}

TEST(Evaluate, JsonHasTheDocumentedFields) {
  const LoadedModel model = tiny::adaptive(), dense = tiny::dense();
  PictureLoader pictures = loader(16);
  const json object = to_json(evaluate(model, &dense, pictures, {0.75, 0.5}, quiet()));
  ASSERT_EQ(object["budgets"].size(), 2u);
  EXPECT_EQ(object["broken"], 0);
  for (const char* field : kFields) {
    EXPECT_TRUE(object["dense"][field].is_number()) << field;
    EXPECT_TRUE(object["budgets"][1][field].is_number()) << field;
  }
  EXPECT_EQ(object["budgets"][1]["budget"], 0.5);
  EXPECT_EQ(object["budgets"][1]["choices"].size(), model.modules.size());
}

TEST(Evaluate, WithoutTheDenseModelItsAccuracyIsNull) {
  const LoadedModel model = tiny::adaptive();
  PictureLoader pictures = loader(16);
  const Evaluation evaluation = evaluate(model, nullptr, pictures, {0.5}, quiet());
  EXPECT_TRUE(std::isnan(evaluation.dense.accuracy));
  EXPECT_TRUE(to_json(evaluation)["dense"]["accuracy"].is_null());
  EXPECT_GT(evaluation.budgets[0].time_fraction, 0.0);
}

TEST(Evaluate, DenseModelIsItsOwnReference) {
  const LoadedModel dense = tiny::dense();
  PictureLoader pictures = loader(16);
  const Evaluation evaluation = evaluate(dense, nullptr, pictures, {1.0}, quiet());
  ASSERT_EQ(evaluation.budgets.size(), 1u);
  EXPECT_EQ(evaluation.budgets[0].accuracy, evaluation.dense.accuracy);
  EXPECT_EQ(evaluation.budgets[0].time_fraction, 1.0);
  EXPECT_THROW(evaluate(dense, nullptr, pictures, {0.5}, quiet()), Error);
}

TEST(Evaluate, RefusesImpossibleBudgetsBeforeItRuns) {
  const LoadedModel model = tiny::adaptive();
  PictureLoader pictures = loader(16);
  EXPECT_THROW(evaluate(model, nullptr, pictures, {0.5, 0.0}, quiet()), Error);
  EXPECT_THROW(evaluate(model, nullptr, pictures, {1.5}, quiet()), Error);
}

TEST(Evaluate, CountsBrokenPictures) {
  const LoadedModel model = tiny::adaptive();
  PictureLoader pictures = loader(16, 3);
  const Evaluation evaluation = evaluate(model, nullptr, pictures, {0.5}, quiet());
  EXPECT_EQ(evaluation.broken, 1);
  EXPECT_EQ(evaluation.dense.items, 15);
}

TEST(Evaluate, RefusesToMeasureNothing) {
  const LoadedModel model = tiny::adaptive();
  PictureLoader pictures = loader(1, 0);
  EXPECT_THROW(evaluate(model, nullptr, pictures, {0.5}, quiet()), Error);
  EXPECT_THAT([&] { score(model, std::span<const Batch>(), 0.5, 0.0); },
              ThrowsMessage<Error>(HasSubstr("no example")));
}

}  // namespace
}  // namespace pace
