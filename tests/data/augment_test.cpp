#include "pace/data/augment.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/data/pictures.h"

namespace pace {
namespace {

const json kConfig = {{"size", 8}, {"image_mean", 0.2}, {"image_std", 0.25}};

/// Pictures and targets in which every value tells the example: picture i is filled with i.
std::pair<at::Tensor, at::Tensor> numbered(int64_t count) {
  const at::Tensor number = at::arange(count, at::kFloat);
  return {number.view({count, 1, 1, 1}).expand({count, 2, 9, 7}).contiguous(), at::eye(count)};
}

TEST(SmoothTargets, SpreadsWhatItTakes) {
  const at::Tensor targets = smooth_targets(at::tensor({2, 0}, at::kLong), 4, 0.2);
  const at::Tensor expected =
      at::tensor({0.05f, 0.05f, 0.85f, 0.05f, 0.85f, 0.05f, 0.05f, 0.05f}).view({2, 4});
  EXPECT_TRUE(at::allclose(targets, expected));
}

TEST(Mix, GivesBackTheSameWhenOff) {
  const auto [pixels, targets] = numbered(3);
  auto random = random_for({1});
  const auto [mixed, mixed_targets] = mix(pixels, targets, {}, random);
  EXPECT_TRUE(mixed.is_same(pixels));
  EXPECT_TRUE(mixed_targets.is_same(targets));
}

/// Mixing is linear, so the mean of a numbered picture must be what its targets say, of every kind.
TEST(Mix, GivesTargetsThatFollowThePixels) {
  const auto [pixels, targets] = numbered(6);
  const at::Tensor original = pixels.clone();
  const at::Tensor number = at::arange(6, at::kFloat);
  for (const auto& [mixup, cutmix] : {std::pair{0.8, 0.0}, {0.0, 1.0}, {0.2, 1.0}, {1e-6, 0.0}}) {
    bool changed = false;
    for (uint64_t seed = 0; seed < 50; ++seed) {
      auto random = random_for({seed});
      const auto [mixed, mixed_targets] =
          mix(pixels, targets, {.mixup = mixup, .cutmix = cutmix}, random);
      EXPECT_TRUE(at::allclose(mixed_targets.sum(1), at::ones(6)));
      EXPECT_GE(mixed_targets.min().item<float>(), 0.0f);
      EXPECT_TRUE(at::allclose(mixed.mean({1, 2, 3}), mixed_targets.mv(number), 1e-4, 1e-4));
      changed |= !at::equal(mixed, pixels);
    }
    EXPECT_TRUE(changed);
  }
  EXPECT_TRUE(at::equal(pixels, original));
}

TEST(Mix, CutmixPastesWholePixels) {
  const auto [pixels, targets] = numbered(5);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    auto random = random_for({seed});
    const at::Tensor mixed = mix(pixels, targets, {.cutmix = 1.0}, random).first;
    EXPECT_TRUE(at::equal(mixed, mixed.round()));
  }
}

TEST(Mix, MixupDrawsItsProportionFromBeta) {
  const auto [pixels, targets] = numbered(2);
  constexpr double kAlpha = 0.5;
  constexpr int kDraws = 4000;
  double sum = 0.0, squares = 0.0;
  int swapped = 0;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    auto random = random_for({seed});
    const double keep = mix(pixels, targets, {.mixup = kAlpha}, random).second[0][0].item<double>();
    if (keep == 1.0) continue;  // its own partner
    ++swapped;
    sum += keep;
    squares += keep * keep;
  }
  const double mean = sum / swapped;
  EXPECT_NEAR(swapped, kDraws / 2, 150);
  EXPECT_NEAR(mean, 0.5, 0.03);
  EXPECT_NEAR(squares / swapped - mean * mean, 1.0 / (4 * (2 * kAlpha + 1)), 0.01);
}

TEST(ShiftAndFlip, ShowsThePictureOrTheBackground) {
  const ImageProcessor processor(kConfig, 3);
  const Image picture = random_picture(8, 8, 3, 1);
  const Image original = picture.clone();
  const Augmentation augment{.crop_padding = 3, .flip = true};
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    auto random = random_for({seed});
    const Image changed = shift_and_flip(picture, processor, augment, random);
    bool found = false;
    for (int64_t top = 0; top <= 6 && !found; ++top) {
      for (int64_t left = 0; left <= 6 && !found; ++left) {
        for (const bool flipped : {false, true}) {
          Image padded = at::full({14, 14, 3}, 51, at::kByte);  // the mean, 0.2
          padded.slice(0, 3, 11).slice(1, 3, 11).copy_(picture);
          const Image part = padded.slice(0, top, top + 8).slice(1, left, left + 8);
          if (!at::equal(changed, flipped ? part.flip(1) : part)) continue;
          found = true;
          seen.insert(fmt::format("{} {} {}", top, left, flipped));
        }
      }
    }
    EXPECT_TRUE(found) << seed;
  }
  EXPECT_GT(seen.size(), 70u);  // of 98
  EXPECT_TRUE(at::equal(picture, original));
}

TEST(ShiftAndFlip, FlipLeavesTheGivenPictureAlone) {
  const ImageProcessor processor(kConfig, 3);
  const Image picture = random_picture(8, 8, 3, 1);
  const Image original = picture.clone();
  int flipped = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    auto random = random_for({seed});
    const Image changed = shift_and_flip(picture, processor, {.flip = true}, random);
    flipped += at::equal(changed, original.flip(1)) ? 1 : 0;
    EXPECT_TRUE(at::equal(picture, original));
  }
  EXPECT_NEAR(flipped, 50, 15);
}

/// In a picture of two ramps, the range of a crop's values tells its area and shape.
TEST(RandomResizedCrop, KeepsToItsBounds) {
  const ImageProcessor processor({{"size", 64}, {"image_mean", 0.0}, {"image_std", 1.0}}, 3);
  const at::Tensor ramp = at::arange(200, at::kByte);
  Image picture = at::zeros({200, 200, 3}, at::kByte);
  picture.select(2, 0).copy_(ramp.unsqueeze(0).expand({200, 200}));
  picture.select(2, 1).copy_(ramp.unsqueeze(1).expand({200, 200}));
  double smallest = 1.0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    auto random = random_for({seed});
    const at::Tensor part = random_resized_crop(picture, processor, 0.25, random).to(at::kDouble);
    ASSERT_EQ(part.sizes(), at::IntArrayRef({64, 64, 3}));
    // From the middle of the first column to that of the last are 63 of 64 parts of the edge.
    const double width = (part[0][63][0] - part[0][0][0]).item<double>() * 64 / 63;
    const double height = (part[63][0][1] - part[0][0][1]).item<double>() * 64 / 63;
    const double area = width * height / (200.0 * 200.0);
    EXPECT_GT(area, 0.22);
    EXPECT_LT(std::abs(std::log(width / height)), std::log(4.0 / 3.0) + 0.06);
    smallest = std::min(smallest, area);
  }
  EXPECT_LT(smallest, 0.32);
}

TEST(RandomResizedCrop, TakesTheWholeOfVeryLongPictures) {
  const ImageProcessor processor(kConfig, 3);
  const Image picture = random_picture(2, 500, 3, 1);
  auto random = random_for({1});
  EXPECT_TRUE(
      at::equal(random_resized_crop(picture, processor, 0.9, random), processor.stretch(picture)));
}

}  // namespace
}  // namespace pace
