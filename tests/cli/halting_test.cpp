#include "tests/cli/workspace.h"

namespace pace::cli {
namespace {

/// A residual network trained on the pictures of the workspace, and one whose positions halt.
class Residual {
 public:
  static const Residual& get() {
    static const Residual residual;
    return residual;
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string adapting() const {
    return "adapt --threads 1 --batch 12 --model " + path("dense") + " --data " + data() + " ";
  }
  static std::string data() { return Workspace::get().data(); }

 private:
  Residual() {
    const json config = {{"model_type", "resnet-cifar"},
                         {"layer_type", "basic"},
                         {"embedding_size", 8},
                         {"depths", {2, 3}},
                         {"hidden_sizes", {8, 16}},
                         {"stage_strides", {1, 2}},
                         {"image_size", 16}};
    write_text(folder_ / "config.json", config.dump());
    train_ = pace("train --threads 1 --batch 12 --architecture " + path("config.json") +
                  " --preprocessor " + Workspace::get().path("pixels.json") + " --data " + data() +
                  " --epochs 6 --rate 1e-2 --held-out 6 --json --out " + path("dense"));
    adapt_ = pace(adapting() + "--halting spatial-pact --ponder 0.05 --epochs 4 --rate 3e-3 " +
                  "--calibration 18 --json --out " + path("halting"));
  }

  TemporaryFolder folder_;

 public:
  Outcome train_, adapt_;
};

TEST(HaltingCommand, TrainsAdaptsAndMeasuresAResidualNetwork) {
  const Residual& residual = Residual::get();
  ASSERT_EQ(residual.train_.status, 0) << residual.train_.err;
  ASSERT_EQ(residual.adapt_.status, 0) << residual.adapt_.err;
  const json info = pace("info --json " + residual.path("halting")).parsed();
  EXPECT_EQ(info.at("halting").at("method"), "spatial-pact");
  const Outcome eval = pace("eval --json --budgets 0.9,0.6 --model " + residual.path("halting") +
                            " --dense " + residual.path("dense") + " --data " + Residual::data() +
                            " --report " + residual.path("report.html"));
  ASSERT_EQ(eval.status, 0) << eval.err;
  const json results = eval.parsed();
  EXPECT_GT(results.at("dense").at("accuracy"), 0.9);
  EXPECT_GT(results.at("budgets")[0].at("macs_fraction").get<double>(),
            results.at("budgets")[1].at("macs_fraction").get<double>());
  EXPECT_NE(read_text(residual.path("report.html")).find("Where in the picture"),
            std::string::npos);
  const Outcome answer = pace("predict --json --budget 0.6 --model " + residual.path("halting") +
                              " " + Workspace::get().path("data/red/0.png"));
  EXPECT_EQ(answer.parsed().at("label"), "red") << answer.err;
}

TEST(HaltingCommand, RefusesWhatIsOfAnotherMethod) {
  const std::string adapt =
      Residual::get().adapting() + "--out " + Residual::get().path("no") + " ";
  PACE_EXPECT_FAILS(pace(adapt + "--halting sact --learners 4"), 2, "--learners");
  PACE_EXPECT_FAILS(pace(adapt + "--halting sact --exits dact"), 2, "exclude each other");
  PACE_EXPECT_FAILS(pace(adapt + "--halting sact --paper-loss"), 2, "--paper-loss needs --exits");
  PACE_EXPECT_FAILS(pace(adapt + "--halting never"), 2, "spatial-pact");
  PACE_EXPECT_FAILS(pace(adapt + "--exits dact"), 1, "tells classes apart");
  PACE_EXPECT_FAILS(pace("adapt --halting act --model " + Workspace::get().dense() + " --data " +
                         Residual::data() + " --out " + Residual::get().path("no")),
                    1, "residual networks and LSTMs");
}

/// An LSTM that continues a text of few rules, and one whose time steps halt.
class Language : public LanguageWorkspace {
 public:
  static const Language& get() {
    static const Language language;
    return language;
  }

  Outcome adapt_;

 private:
  Language()
      : LanguageWorkspace({{"model_type", "lstm-lm"},
                           {"vocab_size", 256},
                           {"embedding_size", 12},
                           {"hidden_size", 48},
                           {"max_length", 300}},
                          "--epochs 20 --rate 3e-2") {
    adapt_ = pace(adapting() + "--halting act --steps 3 --ponder 0.01 --epochs 8 --rate 1e-2 " +
                  "--json --out " + path("act"));
  }
};

TEST(HaltingCommand, TrainsAdaptsAndMeasuresALanguageModel) {
  const Language& language = Language::get();
  ASSERT_EQ(language.train_.status, 0) << language.train_.err;
  EXPECT_LT(language.train_.parsed().at("held_out_bits"), 0.8);
  ASSERT_EQ(language.adapt_.status, 0) << language.adapt_.err;
  const std::string model = language.path("act");
  EXPECT_EQ(pace("info --json " + model).parsed().at("halting").at("method"), "act");
  const Outcome eval =
      pace("eval --json --budgets 1,0.6 --model " + model + " --dense " + language.path("dense") +
           " --data " + language.data() + " --report " + language.path("report.html"));
  ASSERT_EQ(eval.status, 0) << eval.err;
  const json budgets = eval.parsed().at("budgets");
  EXPECT_LT(budgets[0].at("bits"), 0.8);
  const json units = budgets[1].at("units")[0];
  EXPECT_EQ(units.at("most"), 3);
  EXPECT_LT(units.at("mean").get<double>(), 2.0);
  EXPECT_GT(budgets[0].at("deciding_fraction").get<double>(), 0.0);
  EXPECT_NE(read_text(language.path("report.html")).find("Where in the text"), std::string::npos);
  const Outcome next = pace("predict --json --model " + model + " 'to be or no'");
  EXPECT_EQ(next.parsed().at("label"), "t") << next.err;
  EXPECT_EQ(next.parsed().at("probabilities")[0].at("id"), 't');
  EXPECT_EQ(next.parsed().at("probabilities").size(), 10);
  const Outcome alone = pace("eval --json --model " + model + " --data " + language.data());
  EXPECT_TRUE(alone.parsed().at("dense").at("accuracy").is_null()) << alone.err;
  EXPECT_FALSE(alone.parsed().at("dense").contains("bits"));
  EXPECT_EQ(next.parsed().at("units")[0].at("stage"), "step");
  EXPECT_NE(read_text(model + "/README.md").find("language model"), std::string::npos);
}

TEST(HaltingCommand, NamesWhatALanguageModelCannotDo) {
  const Language& language = Language::get();
  const std::string adapt = language.adapting() + "--out " + language.path("no") + " ";
  PACE_EXPECT_FAILS(pace(adapt + "--halting sact --steps 3"), 1, "feature maps");
  PACE_EXPECT_FAILS(pace(adapt + "--halting act"), 1, "ponder_steps is 1");
  PACE_EXPECT_FAILS(pace(adapt + "--steps 3"), 2, "--steps needs --halting");
  PACE_EXPECT_FAILS(pace(adapt + "--exits dact"), 1, "tells classes apart");
  PACE_EXPECT_FAILS(pace(adapt), 1, "only transformers have");
  PACE_EXPECT_FAILS(pace("predict --model " + language.path("dense") + " ''"), 1,
                    "there is no text");
  PACE_EXPECT_FAILS(pace("train --layers 1 --model " + language.path("dense") + " --data " +
                         language.data() + " --out " + language.path("no")),
                    1, "only an encoder can be cut");
  PACE_EXPECT_FAILS(pace("train --model " + language.path("dense") + " --data " + Residual::data() +
                         " --out " + language.path("no")),
                    1, "learns from text:FILE");
  write_text(language.path("one.txt"), "x");
  PACE_EXPECT_FAILS(
      pace("eval --model " + language.path("dense") + " --data text:" + language.path("one.txt")),
      1, "makes 1 token(s); a language model needs two");
  PACE_EXPECT_FAILS(pace("eval --model " + language.path("dense") + " --data " + Residual::data()),
                    1, "give text:FILE");
  PACE_EXPECT_FAILS(
      pace("eval --model " + Residual::get().path("dense") + " --data " + language.data()), 1,
      "has no classes");
  PACE_EXPECT_FAILS(
      pace(Residual::get().adapting() + "--halting act --steps 3 --out " + language.path("no")), 1,
      "only an LSTM repeats");
}

}  // namespace
}  // namespace pace::cli
