// The commands on texts, from a table to an answer.

#include <gmock/gmock.h>

#include "pace/models/factory.h"
#include "tests/cli/workspace.h"
#include "tests/data/words.h"

namespace pace::cli {
namespace {

using ::testing::HasSubstr;

/// A table of texts, a tokeniser, a dense model trained on them and one with exits.
class Reading {
 public:
  static const Reading& get() {
    static const Reading reading;
    return reading;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string data() const { return "tsv:" + path("texts.tsv"); }

 private:
  Reading() {
    write_text(folder_ / "vocab.txt", words::vocabulary());
    write_text(folder_ / "texts.tsv", words::table(80));
    const json config = {
        {"model_type", "bert"},          {"vocab_size", 14},       {"hidden_size", 16},
        {"num_attention_heads", 2},      {"num_hidden_layers", 3}, {"intermediate_size", 32},
        {"max_position_embeddings", 16}, {"num_labels", 2}};
    write_text(folder_ / "config.json", config.dump());
    train_ =
        pace("train --threads 1 --batch 10 --epochs 12 --rate 3e-3 --held-out 20 --json --data " +
             data() + " --architecture " + path("config.json") + " --tokenizer " +
             folder_.path().string() + " --out " + path("dense"));
    adapt_ =
        pace("adapt --threads 1 --batch 10 --exits dact --epochs 6 --rate 3e-3 --json --data " +
             data() + " --model " + path("dense") + " --calibration 20 --out " + path("exits"));
  }

  TemporaryFolder folder_;

 public:
  Outcome train_, adapt_;
};

const Reading& reading() { return Reading::get(); }

TEST(Texts, TrainAClassifierThatTakesItsTokeniserAlong) {
  ASSERT_EQ(reading().train_.status, 0) << reading().train_.err;
  EXPECT_GE(reading().train_.parsed().at("held_out_accuracy"), 0.9);
  EXPECT_TRUE(fs::exists(reading().path("dense/vocab.txt")));
  const json info = pace("info --json " + reading().path("dense")).parsed();
  EXPECT_EQ(info.at("input").at("tokens"), 16);
  EXPECT_EQ(info.at("adaptive"), false);
}

TEST(Texts, GetExitsWithAPriceForEveryBudget) {
  ASSERT_EQ(reading().adapt_.status, 0) << reading().adapt_.err;
  const json info = pace("info --json " + reading().path("exits")).parsed();
  EXPECT_EQ(info.at("exits").at("rule"), "dact");
  const json curve = info.at("calibration").at("curve");
  ASSERT_GE(curve.size(), 2u);
  EXPECT_LT(curve.front().at("macs_fraction"), 0.5);
  const Outcome outcome =
      pace("eval --json --budgets 1,0.6 --data " + reading().data() + " --model " +
           reading().path("exits") + " --dense " + reading().path("dense"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json budgets = outcome.parsed().at("budgets");
  EXPECT_GE(budgets[0].at("accuracy"), 0.9);
  EXPECT_LT(budgets[1].at("macs_fraction"), budgets[0].at("macs_fraction"));
  EXPECT_LT(budgets[1].at("blocks"), budgets[0].at("blocks"));
  const json exits = budgets[1].at("exits");
  ASSERT_EQ(exits.size(), 3u);
  EXPECT_EQ(exits[0].get<int>() + exits[1].get<int>() + exits[2].get<int>(), 80);
}

TEST(Texts, OfAReportStandByTheBlocksTheyNeed) {
  const std::string page = reading().path("report.html");
  const Outcome outcome = pace("eval --budgets 1,0.6 --data " + reading().data() + " --model " +
                               reading().path("exits") + " --report " + page);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::string html = read_text(page);
  for (const char* heading : {"Accuracy against blocks", "Accuracy against time",
                              "Where examples leave", "Texts by the blocks they need"}) {
    EXPECT_THAT(html, HasSubstr(heading));
  }
}

TEST(Texts, TakeTheSameExitsUnderAnotherRule) {
  const std::string adapt = "adapt --threads 1 --json --calibration 20 --data " + reading().data() +
                            " --model " + reading().path("exits") + " --out ";
  const Outcome outcome = pace(adapt + reading().path("patient") + " --exits patience --epochs 0");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const LoadedModel patient = load_model(reading().path("patient"));
  const LoadedModel halting = load_model(reading().path("exits"));
  EXPECT_EQ(patient.exits->rule, ExitRule::kPatience);
  for (const auto& [name, tensor] : patient.model->parameters().all()) {
    EXPECT_TRUE(tensor.equal(halting.model->parameters().at(name))) << name;
  }
  // Whole blocks: a budget between two counts of them is met by the nearest.
  EXPECT_LE(patient.calibration.curve.size(), 12u);
}

TEST(Texts, ExitsAndModulesHaveOptionsOfTheirOwn) {
  const std::string adapt = "adapt --data " + reading().data() + " --model " +
                            reading().path("dense") + " --out " + reading().path("refused");
  PACE_EXPECT_FAILS(pace(adapt + " --exits dact --learners 4"), 2, "--learners is for modules");
  PACE_EXPECT_FAILS(pace(adapt + " --ponder 0.1"), 2, "--ponder needs --exits or --halting");
  EXPECT_FALSE(fs::exists(reading().path("refused")));
}

TEST(Texts, AreClassifiedFromArgumentsAndFromLines) {
  const std::string predict = "predict --json --model " + reading().path("exits") + " ";
  const Outcome outcome = pace(predict + "'a good film .' 'the very very bad film'");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\"input\":\"a good film .\",\"label\":\"1\""));
  EXPECT_THAT(outcome.out, HasSubstr("\"label\":\"0\""));
  EXPECT_THAT(outcome.out, HasSubstr("\"blocks\":"));
  write_text(reading().path("lines.txt"), "a good film .\n\nthe very very bad film\r\n\xC3(\n");
  const Outcome lines = pace(predict + "--lines " + reading().path("lines.txt"));
  EXPECT_EQ(lines.status, 1);
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 2);
  EXPECT_THAT(lines.err, HasSubstr("lines.txt, line 2: there is no text"));
  EXPECT_THAT(lines.err, HasSubstr("line 4: bytes that are no UTF-8"));
  EXPECT_THAT(lines.err, HasSubstr("2 of 4 inputs"));
}

TEST(Texts, MeetClearMessagesWhereTheyDoNotFit) {
  const std::string model = " --model " + reading().path("dense");
  PACE_EXPECT_FAILS(pace("predict" + model), 2, "give texts");
  PACE_EXPECT_FAILS(pace("predict --lines none.txt" + model), 1, "none.txt");
  PACE_EXPECT_FAILS(pace("predict --lines x.txt --model " + Workspace::get().dense()), 2,
                    "read text");
  PACE_EXPECT_FAILS(pace("eval --data " + Workspace::get().data() + model), 1,
                    "none of the model's 2 labels");
  PACE_EXPECT_FAILS(pace("adapt --exits never --out x --data " + reading().data() + model), 2,
                    "never");
  PACE_EXPECT_FAILS(pace("adapt --learners 4 --out x --data " + reading().data() + " --model " +
                         reading().path("exits")),
                    1, "starts from a dense one");
  fs::create_directories(reading().path("wide"));
  write_text(reading().path("wide/vocab.txt"), words::vocabulary() + std::string("more\n"));
  PACE_EXPECT_FAILS(pace("train --out x --tokenizer " + reading().path("wide") + " --data " +
                         reading().data() + model),
                    1, "has 15 tokens, but its model knows 14");
}

}  // namespace
}  // namespace pace::cli
