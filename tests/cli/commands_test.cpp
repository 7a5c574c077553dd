#include <gmock/gmock.h>

#include "pace/models/factory.h"
#include "tests/cli/workspace.h"

namespace pace::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Workspace& work() { return Workspace::get(); }

std::string first_picture() { return work().path("data/red/0.png"); }

TEST(Train, WritesAModelFolderAndItsResults) {
  ASSERT_EQ(work().train_.status, 0) << work().train_.err;
  const json results = work().train_.parsed();
  EXPECT_EQ(results.at("training_items"), 54);
  EXPECT_EQ(results.at("held_out_items"), 6);
  EXPECT_GE(results.at("held_out_accuracy"), 0.5);
  EXPECT_EQ(results.at("broken"), 0);
  for (const char* name : {"config.json", "preprocessor_config.json", "model.safetensors",
                           "metrics.jsonl", "README.md", "training.json"}) {
    EXPECT_TRUE(fs::exists(fs::path(work().dense()) / name)) << name;
  }
  EXPECT_FALSE(fs::exists(work().dense() + "/checkpoint.safetensors"));
  EXPECT_FALSE(fs::exists(work().dense() + ".partial"));
  const json record = json::parse(read_text(work().dense() + "/training.json"));
  EXPECT_EQ(record.at("options").at("epochs"), 8);
  EXPECT_EQ(record.at("options").at("flip"), false);
  EXPECT_EQ(record.at("results"), results);
}

TEST(Train, StartsFromAFolderWithOtherSizeAndDepth) {
  const std::string out = work().path("shallow");
  const Outcome outcome = pace(
      "train --threads 1 --batch 12 --epochs 1 --image-size 24 --layers 1 --freeze-backbone "
      "--limit 24 --held-out 0 --model " +
      work().dense() + " --data " + work().data() + " --json --out " + out);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.parsed().at("training_items"), 24);
  EXPECT_TRUE(outcome.parsed().at("held_out_accuracy").is_null());
  const json info = pace("info --json " + out).parsed();
  EXPECT_EQ(info.at("input").at("height"), 24);
  const json config = json::parse(read_text(out + "/config.json"));
  EXPECT_EQ(config.at("num_hidden_layers"), 1);
}

/// An IDX file: magic with the number of dimensions, big-endian sizes, bytes.
void write_idx(const std::string& path, const std::vector<uint8_t>& sizes, std::string bytes) {
  std::string file{0, 0, 8, static_cast<char>(sizes.size())};
  for (const uint8_t size : sizes) file += std::string(3, '\0') + static_cast<char>(size);
  write_text(path, file + bytes);
}

TEST(Train, ReadsIdxFiles) {
  std::string pixels, labels;
  for (int i = 0; i < 24; ++i) {
    pixels += std::string(16 * 16, static_cast<char>(100 * (i % 2)));
    labels += static_cast<char>(i % 2);
  }
  write_idx(work().path("tiny-images-idx3-ubyte"), {24, 16, 16}, pixels);
  write_idx(work().path("tiny-labels-idx1-ubyte"), {24}, labels);
  const std::string out = work().path("from-idx");
  const Outcome outcome = pace("train --threads 1 --batch 12 --epochs 1 --model " + work().dense() +
                               " --data idx:" + work().path("tiny") + " --out " + out);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(pace("info --json " + out).parsed().at("labels"), json({"0", "1"}));
}

TEST(Train, TakesItsOptionsFromARecipe) {
  write_text(work().path("recipe.toml"),
             "# a comment\nepochs = 0.5\nrate = 1e-3\nflip = true\nbatch = 10\nout = \"" +
                 work().path("from-recipe") + "\"\n");
  const Outcome outcome = pace(work().training() + "--config " + work().path("recipe.toml"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json record = json::parse(read_text(work().path("from-recipe/training.json")));
  EXPECT_EQ(record.at("options").at("epochs"), 0.5);
  EXPECT_EQ(record.at("options").at("flip"), true);
  EXPECT_EQ(record.at("options").at("batch"), 12) << "the command line wins";
}

TEST(Adapt, CalibratesACurve) {
  ASSERT_EQ(work().adapt_.status, 0) << work().adapt_.err;
  const json results = work().adapt_.parsed();
  EXPECT_EQ(results.at("calibration_items"), 12);
  EXPECT_EQ(results.at("training_items"), 48);
  EXPECT_GE(results.at("calibration").at("curve").size(), 2u);
  const json config = json::parse(read_text(work().adaptive() + "/config.json"));
  EXPECT_TRUE(config.at("pace").contains("calibration"));
}

TEST(Adapt, PrintsTheCurveAsATable) {
  const Outcome outcome =
      pace(work().adapting() + "--gate static --maps mlp --init random --force --out " +
           work().path("static"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("budget"));
  EXPECT_THAT(outcome.out, HasSubstr("accuracy"));
}

TEST(Eval, GivesTheDocumentedFields) {
  const Outcome outcome =
      pace("eval --threads 1 --json --budgets 1,0.8 --model " + work().adaptive() + " --dense " +
           work().dense() + " --data " + work().data() + " --baseline self=" + work().dense() +
           " --report " + work().path("report.html") + " --heat-maps 2 --results " +
           work().path("results.json"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json results = outcome.parsed();
  ASSERT_EQ(results.at("budgets").size(), 2u);
  std::vector<json> all{results.at("dense")};
  all.insert(all.end(), results.at("budgets").begin(), results.at("budgets").end());
  for (const json& result : all) {
    for (const char* field :
         {"budget", "accuracy", "macs", "macs_fraction", "time_fraction", "seconds_per_item"}) {
      EXPECT_TRUE(result.at(field).is_number()) << field;
    }
    EXPECT_EQ(result.at("items"), 60);
  }
  EXPECT_EQ(results.at("budgets")[0].at("choices").size(), 10u);
  EXPECT_LE(results.at("budgets")[1].at("macs"), results.at("budgets")[0].at("macs"));
  EXPECT_EQ(results.at("broken"), 0);
  EXPECT_EQ(results.at("baselines")[0].at("name"), "self");
  EXPECT_EQ(results.at("baselines")[0].at("points")[0].at("accuracy"),
            results.at("dense").at("accuracy"));
  EXPECT_THAT(read_text(work().path("report.html")), HasSubstr("<svg"));
  EXPECT_EQ(read_text(work().path("results.json")), outcome.out);
}

TEST(Eval, RefusesToReplaceAReport) {
  write_text(work().path("precious.html"), "precious");
  PACE_EXPECT_FAILS(pace("eval --model " + work().dense() + " --data " + work().data() +
                         " --report " + work().path("precious.html")),
                    1, "precious.html");
  EXPECT_EQ(read_text(work().path("precious.html")), "precious");
}

TEST(Eval, MatchesClassesToLabelsByName) {
  // Without the first class every label would be off by one.
  for (const char* name : {"green", "red"}) {
    fs::create_directories(work().path("some"));
    fs::copy(work().path(std::string("data/") + name), work().path(std::string("some/") + name),
             fs::copy_options::recursive);
  }
  const std::string model = "eval --threads 1 --json --model " + work().dense() + " --data images:";
  const json part = pace(model + work().path("some")).parsed();
  const json whole = pace(model + work().path("data")).parsed();
  EXPECT_EQ(part.at("dense").at("items"), 40);
  const double right = whole.at("dense").at("accuracy").get<double>() * 60;
  const double right_of_part = part.at("dense").at("accuracy").get<double>() * 40;
  EXPECT_GE(right_of_part + 20.01, right);
  fs::create_directories(work().path("some/purple"));
  fs::copy(first_picture(), work().path("some/purple/0.png"));
  fs::remove_all(work().path("some/green"));
  PACE_EXPECT_FAILS(pace(model + work().path("some")), 1, "purple");
}

TEST(Eval, FindsTheCheapestPoint) {
  const std::string model = "eval --threads 1 --json --model " + work().adaptive() + " --data " +
                            work().data() + " --max-drop ";
  const Outcome percent = pace(model + "90%"), share = pace(model + "0.9");
  ASSERT_EQ(percent.status, 0) << percent.err;
  ASSERT_EQ(share.status, 0) << share.err;
  const json cheapest = json::parse(read_text(work().adaptive() + "/config.json"))
                            .at("pace")
                            .at("calibration")
                            .at("curve")[0]
                            .at("budget");
  EXPECT_EQ(percent.parsed().at("budgets")[0].at("budget"), cheapest);
  EXPECT_EQ(share.parsed().at("budgets")[0].at("budget"), cheapest);
}

TEST(Predict, GivesOneObjectPerPicture) {
  const std::string model = "predict --threads 1 --json --logits --model " + work().adaptive();
  const Outcome outcome =
      pace(model + " --budget 0.8 " + first_picture() + " " + work().path("data/blue/3.png"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  std::string line, first;
  for (int i = 0; std::getline(lines, line); ++i) {
    if (i == 0) first = line;
    const json object = json::parse(line);
    double sum = 0;
    for (const auto& [label, p] : object.at("probabilities").items()) sum += p.get<double>();
    EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_TRUE(object.at("probabilities").contains(object.at("label")));
    EXPECT_EQ(object.at("logits").size(), 3u);
    EXPECT_GT(object.at("macs"), 0);
    EXPECT_LE(object.at("macs_fraction"), 1.1);
  }
  const Outcome alone = pace(model + " --budget 0.8 " + first_picture());
  EXPECT_EQ(alone.out, first + "\n") << "a result depends on what else is predicted";
}

TEST(Predict, NamesABrokenPictureAndGoesOn) {
  write_text(work().path("broken.png"), "no picture");
  const Outcome outcome = pace("predict --json --model " + work().dense() + " " +
                               work().path("broken.png") + " " + first_picture());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("broken.png"));
  EXPECT_EQ(outcome.parsed().at("input"), first_picture());
}

TEST(Bench, CountsEveryBatchAndBudget) {
  const Outcome outcome =
      pace("bench --format json --repeats 2 --threads 1 --batch 1-4*2 --model " +
           work().adaptive() + " --budgets 1,0.8");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json rows = outcome.parsed().at("rows");
  ASSERT_EQ(rows.size(), 9u);
  for (const json& row : rows) {
    EXPECT_LE(row.at("seconds_per_item_p10"), row.at("seconds_per_item"));
    EXPECT_LE(row.at("seconds_per_item"), row.at("seconds_per_item_p90"));
    EXPECT_GT(row.at("gflops_per_second"), 0);
  }
  EXPECT_EQ(rows[0].at("time_fraction"), 1);
  EXPECT_EQ(rows[8].at("batch"), 4);
  EXPECT_EQ(rows[8].at("dtype"), "f32");
  const Outcome csv =
      pace("bench --format csv --repeats 1 --batch 2 --dtype f32,bf16 --model " + work().dense());
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 3) << csv.out;
}

TEST(Bench, RunsTextsOfDifferentLengths) {
  const json config = {
      {"model_type", "bert"},          {"vocab_size", 30},       {"hidden_size", 12},
      {"num_attention_heads", 2},      {"num_hidden_layers", 1}, {"intermediate_size", 20},
      {"max_position_embeddings", 32}, {"num_labels", 2}};
  save_model(work().path("bert"), build_dense(config, "test", nullptr, {}));
  const Outcome outcome =
      pace("bench --json --repeats 1 --batch 3 --tokens 32,2..32 --model " + work().path("bert"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json rows = outcome.parsed().at("rows");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].at("tokens"), "32");
  EXPECT_EQ(rows[1].at("tokens"), "2..32");
  // One block, and the classifier behind it: 2, 17 and 32 tokens.
  const auto macs = [](double tokens) {
    return tokens * (12 * (4 * 12 + 2 * 20) + 2 * 12 * tokens) + 12 * (12 + 2);
  };
  EXPECT_EQ(rows[0].at("macs"), macs(32));
  EXPECT_EQ(rows[1].at("macs"), (macs(2) + macs(17) + macs(32)) / 3);
}

TEST(Info, DescribesBothKinds) {
  const json dense = pace("info --json " + work().dense()).parsed();
  EXPECT_EQ(dense.at("adaptive"), false);
  EXPECT_EQ(dense.at("architecture"), "ViTForImageClassification");
  EXPECT_EQ(dense.at("labels"), json({"blue", "green", "red"}));
  EXPECT_FALSE(dense.contains("acm"));
  const json adaptive = pace("info --json " + work().adaptive()).parsed();
  EXPECT_EQ(adaptive.at("modules").size(), 10u);
  EXPECT_EQ(adaptive.at("dense_macs"), dense.at("dense_macs"));
  EXPECT_TRUE(adaptive.at("calibration").at("curve").is_array());
  EXPECT_THAT(pace("info " + work().adaptive()).out, HasSubstr("calibrated"));
}

TEST(Help, ShowsDefaultsAndVersion) {
  EXPECT_THAT(pace("--help").out, HasSubstr("adapt"));
  EXPECT_THAT(pace("--version").out, HasSubstr("pace 0."));
  const Outcome help = pace("adapt --help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, HasSubstr("--epochs3"));
  EXPECT_THAT(help.out, HasSubstr("0.8"));
  EXPECT_THAT(help.out, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace pace::cli
