// The demo on text, on a slice of its reviews: real weights, real sentences.

#include <gmock/gmock.h>

#include "tests/cli/command.h"

namespace pace::cli {
namespace {

using ::testing::HasSubstr;

TEST(DemoText, LearnsFromASliceOfTheReviews) {
  const TemporaryFolder folder;
  const std::string out = folder.path().string();
  const Outcome outcome = shell("tools/demo_text.sh " + command() + " 800 " + out);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json results = json::parse(read_text(folder / "results.json"));
  EXPECT_EQ(results.at("dense").at("items"), 800);
  EXPECT_GT(results.at("dense").at("accuracy"), 0.6) << "half of the reviews are positive";
  const json& budgets = results.at("budgets");
  EXPECT_GT(budgets.front().at("accuracy"), 0.6);
  EXPECT_LT(budgets.back().at("blocks"), 4.0);
  EXPECT_THAT(outcome.out, HasSubstr("a gripping story, beautifully told: positive"));
  EXPECT_THAT(read_text(folder / "report.html"), HasSubstr("Texts by the blocks they need"));
}

}  // namespace
}  // namespace pace::cli
