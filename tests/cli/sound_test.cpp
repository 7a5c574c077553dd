// The commands on sounds, from folders of files to windows of a stream.

#include <gmock/gmock.h>

#include <cmath>

#include "tests/cli/workspace.h"
#include "tests/sounds.h"

namespace pace::cli {
namespace {

using ::testing::HasSubstr;

constexpr int kRate = 8000;

/// A tone in noise, as loud as `level`.
std::vector<float> tone(int samples, double hertz, double level, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(0.0, 0.02);
  std::vector<float> values;
  for (int i = 0; i < samples; ++i) {
    values.push_back(
        static_cast<float>(level * std::sin(2 * M_PI * hertz * i / kRate) + noise(random)));
  }
  return values;
}

/// Tones of two pitches, and a dense and an adaptive keyword transformer made from them.
class Hearing {
 public:
  static const Hearing& get() {
    static const Hearing hearing;
    return hearing;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string data() const { return "audio:" + path("data"); }
  std::string training() const {
    return "train --threads 1 --batch 8 --epochs 12 --rate 3e-3 --held-out 8 --json --data " +
           data() + " --architecture " + path("config.json") + " ";
  }

 private:
  Hearing() {
    for (uint64_t i = 0; i < 20; ++i) {
      for (const auto& [name, hertz] : {std::pair{"high", 1500.0}, std::pair{"low", 300.0}}) {
        const fs::path folder = folder_ / "data" / name;
        fs::create_directories(folder);
        write_sound(folder / (std::to_string(i) + (i % 2 ? ".wav" : ".flac")), i % 2 ? kWav : kFlac,
                    tone(2000, hertz + 10.0 * static_cast<double>(i), 0.3, i), 1, kRate);
      }
    }
    const json config = {{"model_type", "kwt"},     {"hidden_size", 16},
                         {"num_hidden_layers", 2},  {"num_attention_heads", 2},
                         {"intermediate_size", 32}, {"num_frames", 24},
                         {"num_mfcc", 10},          {"num_labels", 2}};
    write_text(folder_ / "config.json", config.dump());
    const json sounds = {{"feature_type", "mfcc"}, {"sampling_rate", kRate},
                         {"num_samples", 2000},    {"frame_length", 160},
                         {"frame_step", 80},       {"fft_size", 256},
                         {"num_mel_bins", 20},     {"mel_lower_hz", 20.0},
                         {"mel_upper_hz", 4000.0}, {"num_mfcc", 10}};
    write_text(folder_ / "sounds.json", sounds.dump());
    train_ = pace(training() + "--preprocessor " + path("sounds.json") + " --out " + path("dense"));
    adapt_ = pace(
        "adapt --threads 1 --batch 8 --json --calibration 8 --learners 4 --gate-hidden 2 "
        "--minimum-projection 0 --epochs1 1 --epochs2 1 --epochs3 2 --data " +
        data() + " --model " + path("dense") + " --out " + path("adaptive"));
  }

  TemporaryFolder folder_;

 public:
  Outcome train_, adapt_;
};

const Hearing& hearing() { return Hearing::get(); }

std::vector<json> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<json> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

TEST(Sounds, TrainAClassifierAndMakeItAdaptive) {
  ASSERT_EQ(hearing().train_.status, 0) << hearing().train_.err;
  ASSERT_EQ(hearing().adapt_.status, 0) << hearing().adapt_.err;
  EXPECT_EQ(hearing().train_.parsed().at("held_out_accuracy"), 1.0);
  const json info = pace("info --json " + hearing().path("adaptive")).parsed();
  EXPECT_EQ(info.at("input"), json({{"frames", 24}, {"features", 10}}));
  EXPECT_EQ(info.at("modules").size(), 10U);
  EXPECT_THAT(read_text(hearing().path("adaptive/README.md")), HasSubstr("audio-classification"));
}

TEST(Sounds, AreEvaluatedWithTheirComputeOverTime) {
  const Outcome outcome =
      pace("eval --json --budgets 1,0.6 --data " + hearing().data() + " --model " +
           hearing().path("adaptive") + " --dense " + hearing().path("dense") + " --report " +
           hearing().path("page.html"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json budget = outcome.parsed().at("budgets").at(1);
  EXPECT_NEAR(budget.at("macs_fraction").get<double>(), 0.6, 0.1);
  const json classes = budget.at("classes");
  ASSERT_EQ(classes.size(), 2U);
  EXPECT_EQ(classes[0].at("name"), "high");
  EXPECT_EQ(classes[0].at("items"), 20);
  const double mean = (classes[0].at("macs_fraction").get<double>() +
                       classes[1].at("macs_fraction").get<double>()) /
                      2;
  EXPECT_NEAR(mean, budget.at("macs_fraction").get<double>(), 1e-6);
  const std::string page = read_text(hearing().path("page.html"));
  for (const char* part : {"When in the sound", "Compute per class", "class=\"wave\""}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

TEST(Sounds, AreCountedAndTimed) {
  const Outcome outcome = pace("bench --format json --repeats 2 --batch 2 --budgets 0.6 --model " +
                               hearing().path("adaptive"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.parsed().at("rows").size(), 2U);
}

/// A sound of a second and a tenth: high, then low.
std::vector<float> both() {
  std::vector<float> samples = tone(4400, 1600, 0.3, 1);
  const std::vector<float> low = tone(4400, 380, 0.3, 2);
  samples.insert(samples.end(), low.begin(), low.end());
  return samples;
}

TEST(Sounds, LongerThanTheModelHearsAreAnsweredInWindows) {
  write_sound(hearing().path("both.flac"), kFlac, both(), 1, kRate);
  const std::string predict = "predict --json --model " + hearing().path("dense") + " ";
  const Outcome outcome = pace(predict + hearing().path("both.flac"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<json> windows = lines_of(outcome.out);
  ASSERT_EQ(windows.size(), 8U);
  EXPECT_EQ(windows.front().at("begin"), 0.0);
  EXPECT_EQ(windows.front().at("end"), 0.25);
  EXPECT_EQ(windows[1].at("begin"), 0.125);
  EXPECT_NEAR(windows.back().at("end").get<double>(), 1.1, 1e-9);
  EXPECT_EQ(windows.front().at("label"), "high");
  EXPECT_EQ(windows.back().at("label"), "low");
  EXPECT_EQ(lines_of(pace(predict + "--hop 0.25 " + hearing().path("both.flac")).out).size(), 5U);
}

TEST(Sounds, ComeFromStandardInputToo) {
  std::string bytes;
  for (const float sample : both()) {
    const auto value = static_cast<int16_t>(sample * 32768);
    bytes.append(reinterpret_cast<const char*>(&value), 2);
  }
  write_text(hearing().path("both.pcm"), bytes);
  const std::string predict = command() + " predict --json --model " + hearing().path("dense");
  const std::string from = " < " + hearing().path("both.pcm");
  const Outcome outcome = shell(predict + " -" + from);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(lines_of(outcome.out).size(), 8U);
  EXPECT_EQ(lines_of(outcome.out).back().at("label"), "low");
  // Half as many samples a second last twice as long, and sound an octave lower.
  EXPECT_NEAR(lines_of(shell(predict + " - --rate 4000" + from).out).back().at("end").get<double>(),
              2.2, 1e-3);
  write_text(hearing().path("odd.pcm"), bytes.substr(0, 5001));
  PACE_EXPECT_FAILS(shell(predict + " - < " + hearing().path("odd.pcm")), 1,
                    "standard input ends in the middle of a sample");
  PACE_EXPECT_FAILS(shell(predict + " - < /dev/null"), 1, "no samples");
}

TEST(Sounds, OfAnyRateWidthAndChannelsGiveTheSameAnswer) {
  const std::string predict = "predict --json --model " + hearing().path("dense") + " ";
  const auto label = [&](const std::vector<float>& samples, int kind, int channels, int rate) {
    write_sound(hearing().path("one"), kind, samples, channels, rate);
    const Outcome outcome = pace(predict + hearing().path("one"));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return lines_of(outcome.out).front().at("label");
  };
  const std::vector<float> low = tone(2000, 350, 0.3, 5);
  std::vector<float> stereo, slow;
  for (const float sample : low) stereo.insert(stereo.end(), {sample, sample});
  for (const float sample : low) slow.insert(slow.end(), {sample, sample});
  for (const int kind : {SF_FORMAT_WAV | SF_FORMAT_PCM_U8, SF_FORMAT_WAV | SF_FORMAT_PCM_24,
                         SF_FORMAT_WAV | SF_FORMAT_FLOAT}) {
    EXPECT_EQ(label(low, kind, 1, kRate), "low");
  }
  EXPECT_EQ(label(stereo, kWav, 2, kRate), "low");
  EXPECT_EQ(label(slow, kWav, 1, 2 * kRate), "low");
}

TEST(Sounds, ThatAreBrokenCostNoOtherItsAnswer) {
  const std::string good = hearing().path("data/low/0.flac");
  write_sound(hearing().path("short.wav"), kWav, tone(159, 300, 0.3, 1), 1, kRate);
  write_text(hearing().path("text.wav"), "words, not sounds");
  const Outcome outcome =
      pace("predict --json --model " + hearing().path("dense") + " " + hearing().path("short.wav") +
           " " + good + " " + hearing().path("text.wav"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(lines_of(outcome.out).size(), 1U);
  EXPECT_THAT(outcome.err, HasSubstr("159 samples"));
  EXPECT_THAT(outcome.err, HasSubstr("text.wav"));
  EXPECT_THAT(outcome.err, HasSubstr("2 of 3 inputs"));
}

TEST(Sounds, BadOptionsAreNamed) {
  const std::string predict = "predict --model " + hearing().path("dense") + " ";
  PACE_EXPECT_FAILS(pace(predict + "--hop 0.3 " + hearing().path("data/low/0.flac")), 2,
                    "--hop 0.3 s");
  PACE_EXPECT_FAILS(pace(predict), 2, "give sounds");
  PACE_EXPECT_FAILS(pace(hearing().training() + "--out " + hearing().path("x")), 2,
                    "nothing says how inputs are prepared");
  PACE_EXPECT_FAILS(pace("predict --model " + Workspace::get().dense() + " --hop 0.3 x.png"), 2,
                    "models that hear");
  PACE_EXPECT_FAILS(pace(predict + "--hop inf x.wav"), 2, "--hop");
  PACE_EXPECT_FAILS(pace(hearing().training() + "--preprocessor " + hearing().path("sounds.json") +
                         " --flip --out " + hearing().path("x")),
                    2, "are for pictures");
  PACE_EXPECT_FAILS(
      pace("eval --data " + Workspace::get().data() + " --model " + hearing().path("dense")), 1,
      "has the class 'blue'");
  PACE_EXPECT_FAILS(pace("eval --data audio:" + Workspace::get().path("data") + " --model " +
                         hearing().path("dense")),
                    1, "holds no WAV or FLAC files");
}

/// Words of the letters A (a low tone) and B (a high one), and a speech recogniser of them.
class Listening {
 public:
  static const Listening& get() {
    static const Listening listening;
    return listening;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string data() const { return "speech:" + path("words.tsv"); }

 private:
  static std::vector<float> sound(const std::string& word, uint64_t seed) {
    std::vector<float> samples;
    for (const char letter : word) {
      const std::vector<float> on = tone(800, letter == 'A' ? 300 : 1500, 0.3, ++seed);
      const std::vector<float> off = tone(400, 0, 0.0, ++seed);
      samples.insert(samples.end(), on.begin(), on.end());
      samples.insert(samples.end(), off.begin(), off.end());
    }
    return samples;
  }

  Listening() {
    std::string table = "file\ttext\n";
    const std::vector<std::string> words{"A",  "B",   "AA",  "AB",  "BA",  "BB",  "AAA",
                                         "AB", "ABA", "ABB", "BAA", "BAB", "BBA", "BBB"};
    for (uint64_t i = 0; i < 56; ++i) {
      const std::string& word = words[i % words.size()];
      const std::string name = std::to_string(i) + ".wav";
      write_sound(folder_ / name, kWav, sound(word, 100 * i), 1, kRate);
      table += name + "\t" + word + "\n";
    }
    write_text(folder_ / "words.tsv", table);
    const json config = {{"model_type", "wav2vec2"}, {"vocab_size", 4},
                         {"hidden_size", 16},        {"num_attention_heads", 2},
                         {"num_hidden_layers", 2},   {"intermediate_size", 32},
                         {"conv_dim", {8, 16}},      {"conv_kernel", {32, 8}},
                         {"conv_stride", {16, 8}},   {"num_conv_pos_embeddings", 4},
                         {"pad_token_id", 0},        {"num_conv_pos_embedding_groups", 2}};
    write_text(folder_ / "config.json", config.dump());
    write_text(folder_ / "vocab.json", R"({"<pad>": 0, "|": 1, "A": 2, "B": 3})");
    write_text(folder_ / "waveforms.json",
               json({{"feature_extractor_type", "Wav2Vec2FeatureExtractor"},
                     {"sampling_rate", kRate},
                     {"do_normalize", true}})
                   .dump());
    train_ = pace(
        "train --threads 1 --batch 8 --epochs 70 --rate 5e-3 --warmup-steps 10 --json "
        "--held-out 8 --data " +
        data() + " --architecture " + path("config.json") + " --preprocessor " +
        path("waveforms.json") + " --tokenizer " + folder_.path().string() + " --out " +
        path("dense"));
    adapt_ = pace(
        "adapt --threads 1 --batch 8 --calibration 8 --learners 2 --gate-hidden 2 "
        "--epochs1 1 --epochs2 1 --epochs3 4 --json --data " +
        data() + " --model " + path("dense") + " --out " + path("adaptive"));
  }

  TemporaryFolder folder_;

 public:
  Outcome train_, adapt_;
};

const Listening& listening() { return Listening::get(); }

TEST(Speech, IsLearnedFromWhatIsSaid) {
  ASSERT_EQ(listening().train_.status, 0) << listening().train_.err;
  EXPECT_GE(listening().train_.parsed().at("held_out_accuracy"), 0.9);
  const json info = pace("info --json " + listening().path("dense")).parsed();
  EXPECT_EQ(info.at("input").at("samples"), 10 * kRate);
  EXPECT_EQ(info.at("vocabulary"), 4);
}

TEST(Speech, IsEvaluatedByCharactersAndWords) {
  ASSERT_EQ(listening().adapt_.status, 0) << listening().adapt_.err;
  const Outcome outcome =
      pace("eval --json --budgets 1,0.9 --data " + listening().data() + " --model " +
           listening().path("adaptive") + " --dense " + listening().path("dense") + " --report " +
           listening().path("page.html"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json dense = outcome.parsed().at("dense");
  EXPECT_LE(dense.at("character_error_rate"), 0.1);
  EXPECT_LE(dense.at("word_error_rate"), 0.2);
  EXPECT_NEAR(dense.at("accuracy").get<double>(),
              1.0 - dense.at("character_error_rate").get<double>(), 1e-9);
  const std::string page = read_text(listening().path("page.html"));
  for (const char* part : {"When in the sound", "word error rate"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

TEST(Speech, BecomesText) {
  const std::string predict = "predict --json --model " + listening().path("adaptive") + " ";
  const Outcome outcome = pace(predict + listening().path("3.wav"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json whole = lines_of(outcome.out).front();
  EXPECT_EQ(whole.at("text"), "AB");
  EXPECT_EQ(whole.at("end"), 0.3);
  EXPECT_GT(whole.at("macs"), 0.0);
  const std::vector<json> windows =
      lines_of(pace(predict + "--window 0.15 --hop 0.15 " + listening().path("3.wav")).out);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[1].at("begin"), 0.15);
  PACE_EXPECT_FAILS(pace("predict --window 2 --model " + hearing().path("dense") + " x.wav"), 2,
                    "always hears 0.25 s");
  PACE_EXPECT_FAILS(
      pace("eval --data " + hearing().data() + " --model " + listening().path("dense")), 1,
      "speech recogniser; give speech:PATH");
}

}  // namespace
}  // namespace pace::cli
