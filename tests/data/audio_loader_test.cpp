#include "pace/data/audio_loader.h"

#include <gmock/gmock.h>

#include <set>

#include "pace/base/error.h"
#include "tests/error_of.h"
#include "tests/reference.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

/// Sounds of growing lengths, with transcripts or in two classes; the third cannot be read.
class Sounds : public Dataset {
 public:
  explicit Sounds(std::vector<std::string> classes) : classes_(std::move(classes)) {}
  int64_t size() const override { return 5; }
  Audio audio(int64_t index) const override {
    if (index == 2) fail("damaged");
    return {at::arange(1, 101 + 10 * index).to(at::kFloat) / 200, 16000};
  }
  Text text(int64_t index) const override { return {std::string(static_cast<size_t>(index), 'E')}; }
  int64_t label(int64_t index) const override { return index % 2; }
  std::string name(int64_t index) const override { return "sound #" + std::to_string(index); }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  std::vector<std::string> classes_;
};

std::shared_ptr<const CtcVocabulary> letters() {
  return std::make_shared<CtcVocabulary>(
      CtcVocabulary::open(reference("wav2vec2") / "tokenizer" / "upper", 15));
}

TEST(AudioLoader, BatchesWaveformsOfDifferentLengths) {
  const AudioProcessor processor(json{{"feature_extractor_type", "Wav2Vec2FeatureExtractor"}});
  const auto sounds = std::make_shared<Sounds>(std::vector<std::string>());
  AudioLoader loader(sounds, processor, {.batch = 4, .skip_broken = true}, letters());
  const std::optional<Batch> batch = loader.next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->indices, (std::vector<int64_t>{0, 1, 3}));
  EXPECT_EQ(loader.broken(), 1);
  ASSERT_EQ(batch->inputs.sizes(), (at::IntArrayRef{3, 130}));
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor sound = processor(processor.fit(sounds->audio(batch->indices[i])));
    EXPECT_TRUE(batch->inputs[i].narrow(0, 0, sound.numel()).equal(sound));
    EXPECT_TRUE(batch->inputs[i].slice(0, sound.numel()).isnan().all().item<bool>());
  }
  const int64_t e = letters()->encode("E")[0];
  EXPECT_TRUE(batch->labels.equal(at::tensor({-1L, -1L, -1L, e, -1L, -1L, e, e, e}).view({3, 3})));
  EXPECT_FALSE(batch->targets.defined());
  EXPECT_EQ(batch->said, (std::vector<std::string>{"", "E", "EEE"}));
}

TEST(AudioLoader, LabelsClasses) {
  const AudioProcessor processor(json{{"feature_size", 1}});
  AudioLoader loader(std::make_shared<Sounds>(std::vector<std::string>{"low", "high"}), processor,
                     {.batch = 2, .skip_broken = true});
  const std::optional<Batch> batch = loader.next();
  EXPECT_TRUE(batch->labels.equal(at::tensor({0L, 1L})));
  EXPECT_EQ(batch->targets.sizes(), (at::IntArrayRef{2, 2}));
}

TEST(AudioLoader, ShiftsSoundsAndMixesThemAsItsSeedSays) {
  const AudioProcessor processor(json{{"feature_type", "log_mel"},
                                      {"sampling_rate", 16000},
                                      {"num_samples", 100},
                                      {"frame_length", 20},
                                      {"frame_step", 10},
                                      {"fft_size", 32},
                                      {"num_mel_bins", 4},
                                      {"mel_lower_hz", 20.0},
                                      {"mel_upper_hz", 8000.0}});
  const auto sounds = std::make_shared<Sounds>(std::vector<std::string>{"low", "high"});
  const auto batch_of = [&](const Augmentation& augment, int64_t epoch) {
    AudioLoader loader(sounds, processor, {.batch = 2, .seed = 3, .augment = augment});
    loader.start(epoch);
    return loader.next().value();
  };
  const Batch plain = batch_of({}, 0), shifted = batch_of({.shift = 0.002}, 0);
  EXPECT_FALSE(shifted.inputs.equal(plain.inputs));
  EXPECT_TRUE(shifted.targets.equal(plain.targets));
  EXPECT_TRUE(batch_of({.shift = 0.002}, 0).inputs.equal(shifted.inputs));
  EXPECT_FALSE(batch_of({.shift = 0.002}, 1).inputs.equal(shifted.inputs)) << "another epoch";
  const Batch faster = batch_of({.speed = 0.3}, 0);
  EXPECT_FALSE(faster.inputs.equal(plain.inputs));
  EXPECT_TRUE(faster.targets.equal(plain.targets));
  EXPECT_TRUE(batch_of({.speed = 0.3}, 0).inputs.equal(faster.inputs));
  const Batch mixed = batch_of({.mixup = 1.0}, 0);
  EXPECT_GT(mixed.targets.min().item<float>(), 0.0F);
  EXPECT_FALSE(mixed.inputs.equal(plain.inputs));
}

TEST(Shift, LeavesSilenceWhereNothingWas) {
  std::mt19937_64 random(1);
  const at::Tensor ramp = at::arange(1, 101).to(at::kFloat);
  std::set<int64_t> seen;
  for (int i = 0; i < 100; ++i) {
    const at::Tensor moved = shift(ramp, 3, random);
    ASSERT_EQ(moved.numel(), 100);
    const auto by = static_cast<int64_t>(ramp[50].item<float>() - moved[50].item<float>());
    seen.insert(by);
    EXPECT_TRUE(moved.equal(at::constant_pad_nd(ramp, {by, -by}, 0)));
  }
  EXPECT_EQ(seen.size(), 7U) << "every shift from -3 to 3";
}

TEST(ChangeSpeed, RaisesAndLowersThePitchByUpToItsShare) {
  std::mt19937_64 random(1);
  std::vector<int64_t> rates;
  for (int i = 0; i < 200; ++i) {
    rates.push_back(change_speed({at::zeros({10}), 16000}, 0.1, random).rate);
  }
  const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
  const Audio low = change_speed({at::zeros({10}), 11025}, 0.005, random);
  EXPECT_EQ(low.rate, 11000) << "the only step of 100 Hz within its share";
  EXPECT_EQ(change_speed({at::zeros({10}), 16000}, 0.001, random).rate, 16000);
  EXPECT_GE(*least, 14400);
  EXPECT_LT(*least, 14700);
  EXPECT_LE(*most, 17600);
  EXPECT_GT(*most, 17300);
}

TEST(AudioLoader, LeavesASoundAloneThatWouldBecomeTooShort) {
  const AudioProcessor processor(json{{"feature_size", 1}}, /*least=*/100);
  const auto sounds = std::make_shared<Sounds>(std::vector<std::string>{"low", "high"});
  AudioLoader loader(sounds, processor, {.batch = 1, .augment = {.speed = 0.5}});
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    loader.start(epoch);
    EXPECT_GE(loader.next()->inputs.size(1), 100);
  }
}

TEST(AudioLoader, NamesWhatItCannotRead) {
  const AudioProcessor processor(json{{"feature_size", 1}});
  const auto sounds = std::make_shared<Sounds>(std::vector<std::string>());
  AudioLoader loader(sounds, processor, {.batch = 4}, letters());
  EXPECT_THAT(error_of([&] { loader.next(); }), HasSubstr("sound #2: damaged"));
  EXPECT_THAT(error_of([&] { AudioLoader(sounds, processor, {}); }), HasSubstr("vocabulary"));
  const AudioProcessor patient(json{{"feature_size", 1}}, 105);
  AudioLoader shorter(sounds, patient, {.batch = 4}, letters());
  EXPECT_THAT(error_of([&] { shorter.next(); }),
              HasSubstr("sound #0: a sound of 100 samples at 16000 Hz; the model needs at least"));
  const AudioProcessor deaf(json{{"feature_size", 1}}, 1000);
  AudioLoader nothing(sounds, deaf, {.batch = 2, .skip_broken = true}, letters());
  EXPECT_THAT(error_of([&] { nothing.next(); }), HasSubstr("all 5 sounds are broken"));
}

}  // namespace
}  // namespace pace
