#include "pace/io/audio.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <numbers>
#include <sstream>

#include "tests/error_of.h"
#include "tests/sounds.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

class Sounds : public ::testing::Test {
 protected:
  /// The path of a sound that was written there.
  fs::path write(const std::string& name, int kind, const std::vector<float>& samples,
                 int channels = 1, int rate = 16000) {
    write_sound(folder_ / name, kind, samples, channels, rate);
    return folder_ / name;
  }

  std::string refused(const fs::path& path) {
    return error_of([&] { load_audio(path); });
  }

  TemporaryFolder folder_;
};

std::vector<float> wave(int64_t samples) {
  std::vector<float> values;
  for (int64_t i = 0; i < samples; ++i) {
    values.push_back(0.5F * std::sin(0.1F * static_cast<float>(i)));
  }
  return values;
}

TEST_F(Sounds, OfAllWidthsAreTheSame) {
  const std::vector<float> samples = wave(500);
  const at::Tensor expected = at::tensor(samples);
  const std::vector<std::pair<int, double>> kinds{{kWav, 1e-4},
                                                  {kFlac, 1e-4},
                                                  {SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 1e-2},
                                                  {SF_FORMAT_WAV | SF_FORMAT_PCM_24, 1e-6},
                                                  {SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 1e-6},
                                                  {SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1e-9}};
  for (const auto& [kind, most] : kinds) {
    const Audio audio = load_audio(write("a", kind, samples));
    EXPECT_EQ(audio.rate, 16000);
    ASSERT_EQ(audio.samples.numel(), 500);
    EXPECT_LE((audio.samples - expected).abs().max().item<double>(), most) << std::hex << kind;
  }
}

TEST_F(Sounds, OfIntegersAreDividedByTheirFullScale) {
  const Audio audio = load_audio(write("a.wav", kWav, {-1.0F, 0.5F, 0.25F}));
  EXPECT_EQ(audio.samples[0].item<float>(), -32767.0F / 32768.0F) << "how -1 is written";
  EXPECT_EQ(audio.samples[1].item<float>(), 16384.0F / 32768.0F);
}

TEST_F(Sounds, OfSeveralChannelsAreMixed) {
  const Audio audio =
      load_audio(write("a.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, {0.5F, 0.1F, -0.2F, 0.4F}, 2));
  EXPECT_TRUE(at::allclose(audio.samples, at::tensor({0.3F, 0.1F})));
}

TEST_F(Sounds, AreReadPieceByPiece) {
  const fs::path path = write("a.flac", kFlac, wave(1000));
  AudioFile file(path);
  std::vector<at::Tensor> pieces;
  for (at::Tensor piece = file.read(300); piece.numel() > 0; piece = file.read(300)) {
    pieces.push_back(piece);
  }
  ASSERT_EQ(pieces.size(), 4U);
  EXPECT_EQ(pieces.back().numel(), 100);
  EXPECT_TRUE(at::cat(pieces).equal(load_audio(path).samples));
}

TEST_F(Sounds, AreResampledWithoutWhatTheRateCannotHold) {
  const auto tone = [](double hertz, int64_t rate) {
    const at::Tensor time = at::arange(rate).to(at::kDouble) / static_cast<double>(rate);
    return Audio{(2 * std::numbers::pi * hertz * time).sin().to(at::kFloat), rate};
  };
  const auto middle = [](const at::Tensor& samples) {
    return samples.slice(0, samples.numel() / 4, 3 * samples.numel() / 4);
  };
  const Audio low = resampled(tone(440, 44100), 16000);
  ASSERT_EQ(low.samples.numel(), 16000);
  EXPECT_LT((middle(low.samples) - middle(tone(440, 16000).samples)).abs().max().item<double>(),
            1e-3);
  const Audio high = resampled(tone(10000, 44100), 16000);
  EXPECT_LT(middle(high.samples).abs().max().item<double>(), 1e-3) << "above 8 kHz";
  EXPECT_EQ(resampled(low, 16000).samples.data_ptr(), low.samples.data_ptr());
}

TEST_F(Sounds, AreTheSameWhenResampledPieceByPiece) {
  const fs::path path = write("a.flac", kFlac, wave(30000), 1, 44100);
  const at::Tensor whole = resampled(load_audio(path), 16000).samples;
  AudioFile file(path);
  ResampledSource source(file, 16000);
  std::vector<at::Tensor> pieces;
  for (at::Tensor piece = source.read(777); piece.numel() > 0; piece = source.read(777)) {
    pieces.push_back(piece);
  }
  const at::Tensor together = at::cat(pieces);
  EXPECT_NEAR(static_cast<double>(whole.numel()), 30000 * 16000 / 44100.0, 1.0);
  ASSERT_EQ(together.sizes(), whole.sizes());
  EXPECT_LT((together - whole).abs().max().item<double>(), 1e-6);
}

TEST(PcmStream, IsLittleEndianOf16Bits) {
  std::istringstream bytes(std::string("\x00\x00\x00\x40\xff\xff", 6));
  PcmStream stream(bytes, "the pipe", 8000);
  EXPECT_EQ(stream.rate(), 8000);
  EXPECT_TRUE(stream.read(2).equal(at::tensor({0.0F, 0.5F})));
  EXPECT_TRUE(stream.read(2).equal(at::tensor({-1.0F / 32768}))) << "fewer at the end";
  EXPECT_EQ(stream.read(2).numel(), 0);
  std::istringstream odd(std::string("\x00\x00\x00", 3));
  EXPECT_THAT(error_of([&] { PcmStream(odd, "the pipe", 8000).read(9); }),
              HasSubstr("the pipe ends in the middle of a sample"));
}

/// Overwrites bytes of a file.
void patch(const fs::path& path, std::streamoff at, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at);
  file << bytes;
}

TEST_F(Sounds, OfUnknownLengthAreReadToTheirEnd) {
  const std::string none(4, '\0'), most(4, '\xff');
  const fs::path flac = write("a.flac", kFlac, wave(70000));
  const at::Tensor whole = load_audio(flac).samples;
  patch(flac, 22, none);  // the lower 32 of the 36 bits of the number of samples: not known
  EXPECT_TRUE(load_audio(flac).samples.equal(whole));
  patch(flac, 22, most);  // four thousand million samples
  EXPECT_THAT(refused(flac), HasSubstr("a.flac is damaged: sample 70001 of"));
  const fs::path wav = write("a.wav", kWav, wave(500));
  patch(wav, 4, std::string("\x10\x27\0\0", 4));  // of the whole file only
  EXPECT_EQ(load_audio(wav).samples.numel(), 500);
  patch(wav, 4, most);
  patch(wav, 40, most);  // written to a pipe
  EXPECT_EQ(load_audio(wav).samples.numel(), 500);
}

TEST_F(Sounds, ThatAreBrokenAreNamed) {
  EXPECT_THAT(refused(folder_ / "none.wav"), HasSubstr("there is no such file"));
  write_text(folder_ / "text.wav", "not a sound at all, but a text of some length");
  EXPECT_THAT(refused(folder_ / "text.wav"), HasSubstr("WAV and FLAC are understood"));
  write_text(folder_ / "empty.wav", "");
  EXPECT_THAT(refused(folder_ / "empty.wav"), HasSubstr("empty.wav"));
  EXPECT_THAT(refused(write("no.wav", kWav, {})), HasSubstr("holds no samples"));
  EXPECT_THAT(refused(write("nan.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT,
                            {0.0F, std::numeric_limits<float>::quiet_NaN()})),
              HasSubstr("no numbers or infinite"));
  for (const auto& [name, kind] : {std::pair{"cut.wav", kWav}, std::pair{"cut.flac", kFlac}}) {
    const fs::path path = write(name, kind, wave(20000));
    fs::resize_file(path, fs::file_size(path) / 2);
    EXPECT_THAT(refused(path), ::testing::AnyOf(HasSubstr("is cut off"), HasSubstr("is damaged")));
  }
}

}  // namespace
}  // namespace pace
