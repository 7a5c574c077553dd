#include "pace/data/audio_processor.h"

#include <gmock/gmock.h>

#include "pace/io/safetensors.h"
#include "tests/error_of.h"
#include "tests/reference.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

json cases() {
  const fs::path path = reference("audio") / "cases.json";
  return parse_json(read_text(path), path.string());
}

TEST(AudioProcessor, EqualsTheDefinition) {
  const SafetensorsFile file(reference("audio") / "features.safetensors");
  const json all = cases();
  for (const auto& [name, config] : all.items()) {
    const AudioProcessor processor(config);
    const at::Tensor expected = file.tensor(name + ".features");
    const at::Tensor samples = file.tensor(name + ".samples");
    const at::Tensor features = processor(processor.fit({samples, processor.rate()}));
    ASSERT_EQ(features.sizes(), expected.sizes()) << name;
    EXPECT_EQ(features.size(0), processor.frames());
    EXPECT_EQ(features.size(1), processor.features());
    EXPECT_LT((features - expected).abs().max().item<double>(), 1e-3) << name;
    EXPECT_GT(expected.std().item<double>(), 0.5) << "too even to tell errors";
    const at::Tensor several = processor(at::stack({samples, samples.flip(0)}));
    EXPECT_TRUE(several[0].equal(features)) << "whatever stands beside it";
  }
}

TEST(AudioProcessor, CutsAndPads) {
  const AudioProcessor processor(cases().at("log_mel"));
  const at::Tensor ramp = at::arange(1, 8001).to(at::kFloat) / 8000;
  EXPECT_TRUE(processor.fit({ramp, 16000}).equal(ramp.narrow(0, 0, 5000)));
  const at::Tensor padded = processor.fit({ramp.narrow(0, 0, 400), 16000});
  EXPECT_EQ(padded.numel(), 5000);
  EXPECT_EQ(padded.slice(0, 400).abs().max().item<float>(), 0.0F);
  EXPECT_THAT(error_of([&] {
                processor.fit({ramp.narrow(0, 0, 399), 16000});
              }),
              HasSubstr("399 samples"));
  EXPECT_THAT(error_of([&] {
                processor.fit({ramp.narrow(0, 0, 399), 32000});
              }),
              HasSubstr("200 samples at 16000 Hz"));
}

AudioProcessor waveforms(const std::string& name) {
  const fs::path path = reference("wav2vec2") / name / "preprocessor_config.json";
  return AudioProcessor(parse_json(read_text(path), path.string()));
}

TEST(AudioProcessor, GivesTheWaveformsOfTransformers) {
  const SafetensorsFile file(reference("wav2vec2") / "features.safetensors");
  for (const std::string name : {"normed", "raw"}) {
    const AudioProcessor processor = waveforms(name);
    EXPECT_EQ(processor.feature(), AudioFeature::kWaveform);
    EXPECT_EQ(processor.rate(), 16000);
    for (const std::string length : {"400", "17123"}) {
      const at::Tensor samples = file.tensor(name + ".samples." + length);
      const at::Tensor expected = file.tensor(name + ".values." + length);
      const at::Tensor values = processor(processor.fit({samples, 16000}));
      ASSERT_EQ(values.sizes(), expected.sizes());
      EXPECT_LT((values - expected).abs().max().item<double>(), 1e-5) << name << " " << length;
      const at::Tensor several = processor(at::stack({samples, samples.flip(0)}));
      EXPECT_TRUE(several[0].equal(values)) << "whatever stands beside it";
    }
  }
  EXPECT_EQ(waveforms("raw").fit({at::ones({3200}), 32000}).numel(), 1600);
  EXPECT_THAT(error_of([] {
                waveforms("raw").fit({at::ones({0}), 16000});
              }),
              HasSubstr("a sound of 0 samples"));
}

TEST(AudioProcessor, NamesTheFieldOfAWaveformThatIsWrong) {
  const auto refused = [](const std::string& field, const json& value) {
    json config = waveforms("normed").config();
    config[field] = value;
    return error_of([&] { AudioProcessor{config}; });
  };
  EXPECT_EQ(refused("padding_value", 0.0), "(no error)");
  EXPECT_EQ(refused("feature_extractor_type", nullptr), "(no error)");
  EXPECT_THAT(refused("feature_extractor_type", "WhisperFeatureExtractor"),
              HasSubstr("feature_extractor_type is 'WhisperFeatureExtractor'"));
  EXPECT_THAT(refused("feature_size", 80), HasSubstr("feature_size is 80"));
  EXPECT_THAT(refused("sampling_rate", 0), HasSubstr("sampling_rate is 0"));
  EXPECT_THAT(refused("do_normalize", "yes"), HasSubstr("do_normalize"));
}

TEST(AudioProcessor, NamesTheFieldThatIsWrong) {
  const json good = cases().at("mfcc");
  const auto refused = [&](const std::string& field, const json& value) {
    json config = good;
    config[field] = value;
    return error_of([&] { AudioProcessor{config}; });
  };
  EXPECT_EQ(refused("dither", 0.0), "(no error)");
  EXPECT_THAT(refused("dither", 1.0), HasSubstr("dither is 1.0; only 0.0 is supported"));
  EXPECT_THAT(refused("mel_norm", "slaney"), HasSubstr("mel_norm"));
  EXPECT_THAT(refused("feature_type", "raw"), HasSubstr("there are mfcc and log_mel"));
  EXPECT_THAT(refused("spectrum", "phase"), HasSubstr("there are magnitude and power"));
  EXPECT_THAT(refused("num_samples", nullptr), HasSubstr("num_samples"));
  EXPECT_THAT(refused("num_samples", 479), HasSubstr("frame_length 480"));
  EXPECT_THAT(refused("fft_size", 400), HasSubstr("fft_size 400"));
  EXPECT_THAT(refused("num_mfcc", 81), HasSubstr("num_mfcc 81"));
  EXPECT_THAT(refused("mel_upper_hz", 8001.0), HasSubstr("8001"));
  EXPECT_THAT(refused("frame_step", 0), HasSubstr("frame_step is 0"));
}

}  // namespace
}  // namespace pace
