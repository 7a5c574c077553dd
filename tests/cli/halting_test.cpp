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
                    1, "feature maps");
}

}  // namespace
}  // namespace pace::cli
