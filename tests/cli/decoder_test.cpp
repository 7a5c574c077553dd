#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "pace/models/factory.h"
#include "tests/cli/workspace.h"

namespace pace::cli {
namespace {

using ::testing::HasSubstr;

/// A Llama that continues a text of few rules, and one whose tokens are routed round blocks.
class Writing : public LanguageWorkspace {
 public:
  static const Writing& get() {
    static const Writing writing;
    return writing;
  }

  Outcome adapt_;

 private:
  Writing()
      : LanguageWorkspace({{"model_type", "llama"},
                           {"vocab_size", 256},
                           {"hidden_size", 32},
                           {"intermediate_size", 48},
                           {"num_hidden_layers", 4},
                           {"num_attention_heads", 4},
                           {"num_key_value_heads", 2},
                           {"max_position_embeddings", 300},
                           {"tie_word_embeddings", true},
                           {"eos_token_id", '\n'}},
                          "--epochs 40 --rate 6e-3 --warmup-steps 10") {
    adapt_ = pace(adapting() + "--mod 0.25 --epochs 10 --rate 3e-3 --head-rate 1e-2 --json --out " +
                  path("mod"));
  }
};

TEST(DecoderCommand, TrainsAdaptsAndMeasuresALanguageModel) {
  const Writing& writing = Writing::get();
  ASSERT_EQ(writing.train_.status, 0) << writing.train_.err;
  EXPECT_LT(writing.train_.parsed().at("held_out_bits"), 0.5);
  ASSERT_EQ(writing.adapt_.status, 0) << writing.adapt_.err;
  const std::string model = writing.path("mod");
  const json info = pace("info --json " + model).parsed();
  EXPECT_EQ(info.at("mod").at("blocks"), json::array({1, 3}));
  EXPECT_EQ(info.at("mod").at("causal"), "predictor");
  const Outcome eval =
      pace("eval --json --budgets 1,0.7 --model " + model + " --dense " + writing.path("dense") +
           " --data " + writing.data() + " --report " + writing.path("report.html"));
  ASSERT_EQ(eval.status, 0) << eval.err;
  const json budgets = eval.parsed().at("budgets");
  EXPECT_LT(budgets[0].at("bits"), 0.6);
  EXPECT_LT(budgets[1].at("macs_fraction"), 0.8);
  EXPECT_LE(budgets[1].at("macs_fraction"), budgets[0].at("macs_fraction"));
  const json blocks = budgets[1].at("units")[0];
  EXPECT_EQ(blocks.at("stage"), "blocks");
  EXPECT_EQ(blocks.at("most"), 4);
  EXPECT_LT(blocks.at("mean"), 3.5);
  const std::string page = read_text(writing.path("report.html"));
  EXPECT_THAT(page, HasSubstr("Loss against training compute"));
  EXPECT_THAT(page, HasSubstr("<th>tokens per second</th>"));
  EXPECT_THAT(page, HasSubstr("Where in the text"));
  EXPECT_THAT(page, HasSubstr("Which token runs which block"));
  EXPECT_THAT(page, HasSubstr(">block 3</text>"));
  EXPECT_THAT(read_text(model + "/README.md"), HasSubstr("routed round 2 of the blocks"));
}

TEST(DecoderCommand, WritesOn) {
  const Writing& writing = Writing::get();
  for (const char* model : {"dense", "mod"}) {
    const std::string predict = "predict --model " + writing.path(model) + " ";
    const std::string lines = "to see or not\nto be or not\nto be or not\n";
    const Outcome plain = pace(predict + "--tokens 40 '" + lines + "to s'");
    // The config says that a line ends the text.
    EXPECT_EQ(plain.out, lines + "to see or not\n") << plain.err;
    const Outcome both =
        pace(predict + "--json --batch 2 --tokens 3 '" + lines + "to s' '" + lines + "to see'");
    ASSERT_EQ(both.status, 0) << both.err;
    const size_t second = both.out.find('\n') + 1;
    const json one = json::parse(both.out.substr(0, second)),
               other = json::parse(both.out.substr(second));
    EXPECT_EQ(one.at("text"), "ee ");
    EXPECT_EQ(one.at("stop"), "length");
    EXPECT_EQ(other.at("text"), " or");
    EXPECT_EQ(other.at("tokens"), json::array({' ', 'o', 'r'}));
    EXPECT_GT(other.at("tokens_per_second"), 0.0);
    EXPECT_GT(other.at("memory_bytes"), 0);
    const std::string drawing = predict + "--json --tokens 5 --temperature 3 --top-p 0.99 'to' ";
    const auto drawn = [&](int seed) {
      return pace(drawing + "--seed " + std::to_string(seed)).parsed().at("tokens");
    };
    EXPECT_EQ(drawn(1), drawn(1));
    EXPECT_NE(drawn(1), drawn(2));
  }
}

TEST(DecoderCommand, RetrofitsWithLittleTraining) {
  const Writing& writing = Writing::get();
  const Outcome adapt = pace(writing.adapting() + "--mod 0.5 --retrofit --epochs 4 --rate 1e-3 " +
                             "--json --out " + writing.path("retrofit"));
  ASSERT_EQ(adapt.status, 0) << adapt.err;
  EXPECT_EQ(pace("info --json " + writing.path("retrofit")).parsed().at("mod").at("offset"), 1.0);
  const Outcome again = pace("adapt --threads 1 --batch 4 --calibration 4 --mod 0.5 --epochs 0 " +
                             ("--json --model " + writing.path("retrofit")) + " --data " +
                             writing.data() + " --out " + writing.path("again"));
  ASSERT_EQ(again.status, 0) << again.err;
  const auto routing = [&](const char* model) {
    return pace("info --json " + writing.path(model)).parsed().at("mod");
  };
  EXPECT_EQ(routing("again"), routing("retrofit"));
  const json calibration = adapt.parsed().at("calibration");
  EXPECT_GT(calibration.at("curve").back().at("accuracy").get<double>(),
            calibration.at("dense").get<double>() - 0.05);
}

TEST(DecoderCommand, PutsExpertsInThePlaceOfMlps) {
  const Writing& writing = Writing::get();
  const auto adapt = [&](const std::string& method, const std::string& name) {
    const Outcome made = pace(writing.adapting() + method + " --rate 3e-3 --head-rate 1e-2 " +
                              "--json --out " + writing.path(name));
    EXPECT_EQ(made.status, 0) << made.err;
    return made.parsed().at("calibration").at("curve");
  };
  EXPECT_EQ(adapt("--experts 2 --epochs 0", "experts").size(), 1) << "no dial, one budget";
  EXPECT_GT(adapt("--experts 2 --no-op 0.5 --epochs 40", "integrated").size(), 1);
  adapt("--mod 0.5 --experts 2 --epochs 40", "staged");
  const json expected = {{"experts", 2}, {"blocks", {0, 1, 2, 3}}, {"no_op", 0.5}};
  EXPECT_EQ(pace("info --json " + writing.path("integrated")).parsed().at("experts"), expected);
  const json staged = pace("info --json " + writing.path("staged")).parsed();
  EXPECT_EQ(staged.at("experts").at("no_op"), 0.0);
  EXPECT_EQ(staged.at("mod").at("capacity"), 0.5);
  const auto eval = [&](const std::string& name) {
    const Outcome measured =
        pace("eval --json --budgets 0.9 --model " + writing.path(name) + " --data " +
             writing.data() + " --report " + writing.path(name + ".html"));
    EXPECT_EQ(measured.status, 0) << measured.err;
    return measured.parsed().at("budgets")[0];
  };
  const std::map<std::string, json> results{{"integrated", eval("integrated")},
                                            {"staged", eval("staged")}};
  for (const auto& [name, result] : results) {
    EXPECT_LT(result.at("bits"), 0.6) << name;
    EXPECT_LT(result.at("macs_fraction"), 0.93) << name;
    EXPECT_GT(result.at("deciding_fraction"), 0.0) << name;
    ASSERT_EQ(result.at("experts").size(), 4) << name;
    EXPECT_EQ(result.at("experts")[3].at("block"), 3) << name;
    EXPECT_EQ(result.at("experts")[3].at("tokens").size(), 2) << name;
    const Outcome written =
        pace("predict --model " + writing.path(name) + " --tokens 40 'to see or not\nto b'");
    EXPECT_EQ(written.out, "to see or not\nto be or not\n") << name << written.err;
    EXPECT_THAT(read_text(writing.path(name) + "/README.md"), HasSubstr("one of 2 experts"));
    EXPECT_THAT(read_text(writing.path(name + ".html")), HasSubstr("Experts used per block"));
  }
  const json& mlps = results.at("integrated").at("units")[0];
  EXPECT_EQ(mlps.at("stage"), "mlps");
  EXPECT_LT(mlps.at("mean"), 4.0);
  EXPECT_THAT(read_text(writing.path("integrated.html")), HasSubstr(">MLP 3</text>"));

  const std::string further = "adapt --threads 1 --batch 4 --calibration 4 --epochs 0 --data " +
                              writing.data() + " --model " + writing.path("integrated") +
                              " --out " + writing.path("both") + " ";
  PACE_EXPECT_FAILS(pace(further + "--experts 3"), 1, "has experts already");
  const Outcome routed = pace(further + "--mod 0.5");
  ASSERT_EQ(routed.status, 0) << routed.err;
  EXPECT_EQ(eval("both").at("units").size(), 2);
  const std::string page = read_text(writing.path("both.html"));
  EXPECT_THAT(page, HasSubstr(">block 3</text>"));
  EXPECT_THAT(page, HasSubstr(">MLP 3</text>"));
}

TEST(DecoderCommand, RemembersFewerTokensWhereTheyAreRoutedRound) {
  const Writing& writing = Writing::get();
  const std::string prompt = "'to be or not\nto be or not\nto be or not\nto be or not\nto'";
  const auto bytes = [&](const char* model) {
    const Outcome written =
        pace("predict --json --tokens 1 --model " + writing.path(model) + " " + prompt);
    return written.parsed().at("memory_bytes").get<int64_t>();
  };
  EXPECT_LT(bytes("mod"), bytes("dense"));
}

TEST(DecoderCommand, MeasuresPerplexityByASlidingWindow) {
  const Writing& writing = Writing::get();
  const auto measured = [&](const std::string& options) {
    const Outcome outcome = pace("eval --json --threads 1 --budgets 1 --model " +
                                 writing.path("dense") + " --data " + writing.data() + options);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.parsed().at("dense");
  };
  const json apart = measured(" --sequence 6"), sliding = measured(" --sequence 64 --stride 6");
  EXPECT_NEAR(std::exp2(apart.at("bits").get<double>()), apart.at("perplexity").get<double>(),
              1e-9);
  EXPECT_LT(sliding.at("perplexity"), apart.at("perplexity"))
      << "with more to look at, a line is foretold better";
  EXPECT_GT(sliding.at("tokens_per_second"), 0.0);
}

TEST(DecoderCommand, TellsWhatCompetitionWouldGive) {
  const Writing& writing = Writing::get();
  const json top_k = pace("eval --json --threads 1 --budgets 1 --limit 8 --model " +
                          writing.path("mod") + " --data " + writing.data())
                         .parsed()
                         .at("top_k");
  EXPECT_GT(top_k.at("alike"), 0.8) << "more than by never choosing any";
  EXPECT_LT(top_k.at("macs_fraction"), 0.9);
  EXPECT_LT(top_k.at("bits"), 0.6);
}

TEST(DecoderCommand, NamesWhatItCannotDo) {
  const Writing& writing = Writing::get();
  const std::string predict = "predict --model " + writing.path("dense") + " ";
  PACE_EXPECT_FAILS(pace(predict + "--tokens 4 ''"), 1, "there is no text to go on from");
  PACE_EXPECT_FAILS(pace(predict + "--tokens 4 " + std::string(300, 'a')), 1,
                    "300 tokens; the model's context is 300, so give at most 299");
  PACE_EXPECT_FAILS(pace(predict + "--tokens -1 a"), 2, "--tokens");
  PACE_EXPECT_FAILS(pace(predict + "--tokens 4 --top-p 0 a"), 2, "--top-p");
  PACE_EXPECT_FAILS(pace(predict + "--tokens 4 --temperature nan a"), 2, "--temperature");
  const Outcome some = pace(predict + "--tokens 2 --json 'to b' ''");
  EXPECT_EQ(some.status, 1);
  EXPECT_THAT(some.out, HasSubstr("\"input\":\"to b\""));
  EXPECT_THAT(some.err, HasSubstr("1 of 2 inputs"));
  PACE_EXPECT_FAILS(pace("predict --tokens 4 --model " + Workspace::get().dense() + " x.png"), 2,
                    "models that write");

  json architecture = json::parse(read_text(writing.path("config.json")));
  architecture["eos_token_id"] = 256;
  write_text(writing.path("eos.json"), architecture.dump());
  PACE_EXPECT_FAILS(
      pace("train --architecture " + writing.path("eos.json") + " --tokenizer " +
           writing.path("dense") + " --data " + writing.data() + " --out " + writing.path("no")),
      1, "eos_token_id is 256, but the tokens are 0..255");
  const std::string eval =
      "eval --model " + writing.path("dense") + " --data " + writing.data() + " ";
  PACE_EXPECT_FAILS(pace(eval + "--sequence 301"), 1, "takes 300 tokens at most");
  PACE_EXPECT_FAILS(pace("eval --sequence 8 --model " + Workspace::get().dense() + " --data " +
                         Workspace::get().data()),
                    2, "are for language models");
  PACE_EXPECT_FAILS(pace(eval + "--sequence 8 --stride 9"), 1, "8 tokens that begin 9 apart");

  const std::string adapt = writing.adapting() + "--out " + writing.path("no") + " ";
  PACE_EXPECT_FAILS(pace(adapt + "--mod 0"), 2, "--mod");
  PACE_EXPECT_FAILS(pace(adapt + "--mod 0.5 --halting act"), 2, "exclude each other");
  PACE_EXPECT_FAILS(pace(adapt + "--mod 0.5 --ponder 1"), 2, "--ponder needs --exits or --halting");
  PACE_EXPECT_FAILS(pace(adapt + "--mod 0.5 --learners 4"), 2, "--learners is for modules");
  PACE_EXPECT_FAILS(pace(adapt + "--mod 0.5 --blocks 4"), 1, "block 4 is to be routed");
  PACE_EXPECT_FAILS(
      pace("adapt --mod 0.5 --retrofit --calibration 4 --model " + writing.path("mod") +
           " --data " + writing.data() + " --out " + writing.path("no")),
      1, "--retrofit keeps to a dense one");
  PACE_EXPECT_FAILS(pace(adapt + "--causal auxiliary"), 2, "--causal needs --mod");
  PACE_EXPECT_FAILS(pace(adapt + "--experts 0"), 2, "--experts");
  PACE_EXPECT_FAILS(pace(adapt + "--experts 2 --no-op 1"), 2, "--no-op");
  PACE_EXPECT_FAILS(pace(adapt + "--no-op 0.5"), 2, "--no-op needs --experts");
  PACE_EXPECT_FAILS(pace(adapt + "--experts 2 --blocks 1"), 2, "--blocks needs --mod");
  PACE_EXPECT_FAILS(pace(adapt + "--experts 2 --learners 4"), 2, "--learners is for modules");
  PACE_EXPECT_FAILS(pace(adapt + "--experts 2 --halting act"), 2, "--experts goes with --mod");
  PACE_EXPECT_FAILS(pace(adapt), 1, "encoders only");
  PACE_EXPECT_FAILS(pace("adapt --mod 0.5 --model " + Workspace::get().dense() + " --data " +
                         Workspace::get().data() + " --out " + writing.path("no")),
                    1, "gpt2 and llama");
  PACE_EXPECT_FAILS(pace("adapt --experts 2 --model " + Workspace::get().dense() + " --data " +
                         Workspace::get().data() + " --out " + writing.path("no")),
                    1, "experts take the place of MLPs of gpt2 and llama");
}

}  // namespace
}  // namespace pace::cli
