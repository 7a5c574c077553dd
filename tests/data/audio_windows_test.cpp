#include "pace/data/audio_windows.h"

#include <gmock/gmock.h>

#include <sstream>

#include "tests/error_of.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

/// Samples 0, 1, 2, ... of 1 / 32768 each.
std::string ramp(int samples) {
  std::string bytes;
  for (int i = 0; i < samples; ++i) {
    bytes += {static_cast<char>(i % 256), static_cast<char>(i / 256)};
  }
  return bytes;
}

/// First and last sample of each window, as numbers of the ramp.
std::vector<std::pair<int, int>> windows_of(int samples, int64_t length, int64_t hop) {
  std::istringstream bytes(ramp(samples));
  PcmStream stream(bytes, "the ramp", 100);
  AudioWindows windows(stream, 100, length, hop);
  std::vector<std::pair<int, int>> found;
  while (const auto window = windows.next()) {
    const at::Tensor numbers = (window->audio.samples * 32768).to(at::kInt);
    found.emplace_back(numbers[0].item<int>(), numbers[-1].item<int>());
    EXPECT_NEAR(window->begin, numbers[0].item<int>() / 100.0, 1e-9);
    EXPECT_NEAR(window->end, (numbers[-1].item<int>() + 1) / 100.0, 1e-9);
    EXPECT_TRUE(numbers.diff().eq(1).all().item<bool>());
  }
  return found;
}

using Pairs = std::vector<std::pair<int, int>>;

TEST(AudioWindows, FollowEachOtherToTheEnd) {
  EXPECT_EQ(windows_of(20, 10, 5), (Pairs{{0, 9}, {5, 14}, {10, 19}}));
  EXPECT_EQ(windows_of(20, 10, 10), (Pairs{{0, 9}, {10, 19}}));
  EXPECT_EQ(windows_of(300, 256, 37), (Pairs{{0, 255}, {37, 292}, {44, 299}}));
}

TEST(AudioWindows, EndWithTheSound) {
  EXPECT_EQ(windows_of(22, 10, 5), (Pairs{{0, 9}, {5, 14}, {10, 19}, {12, 21}}));
  EXPECT_EQ(windows_of(11, 10, 10), (Pairs{{0, 9}, {1, 10}}));
  EXPECT_EQ(windows_of(7, 10, 5), (Pairs{{0, 6}})) << "a sound shorter than a window";
  EXPECT_TRUE(windows_of(0, 10, 5).empty());
}

TEST(AudioWindows, LieWithoutGaps) {
  std::istringstream bytes;
  PcmStream stream(bytes, "nothing", 100);
  for (const int64_t hop : {0, 11}) {
    EXPECT_THAT(error_of([&] { AudioWindows(stream, 100, 10, hop); }), HasSubstr("1..10"));
  }
}

}  // namespace
}  // namespace pace
