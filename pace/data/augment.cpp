#include "pace/data/augment.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "pace/base/error.h"

namespace pace {
namespace {

double uniform(double low, double high, std::mt19937_64& random) {
  return std::uniform_real_distribution<double>(low, high)(random);
}

/// From 0 to `most`, both included.
int64_t whole(int64_t most, std::mt19937_64& random) {
  return std::uniform_int_distribution<int64_t>(0, most)(random);
}

bool coin(std::mt19937_64& random) { return whole(1, random) == 1; }

/// Beta(alpha, alpha) as a ratio of gamma variates.
double beta(double alpha, std::mt19937_64& random) {
  std::gamma_distribution<double> gamma(alpha);
  const double one = gamma(random), other = gamma(random);
  // Both underflow for tiny alpha, whose limit is a coin.
  if (one + other == 0.0) return coin(random) ? 1.0 : 0.0;
  return one / (one + other);
}

void flip_rows(Image& image) {
  const int64_t width = image.size(1), channels = image.size(2);
  uint8_t* row = image.mutable_data_ptr<uint8_t>();
  for (int64_t y = 0; y < image.size(0); ++y, row += width * channels) {
    for (int64_t x = 0; x < width / 2; ++x) {
      std::swap_ranges(row + x * channels, row + (x + 1) * channels,
                       row + (width - 1 - x) * channels);
    }
  }
}

struct Box {
  int64_t top, left, height, width;
};

/// Cutmix's box of the share 1 - keep around a random centre, cut off at the edges.
Box random_box(int64_t height, int64_t width, double keep, std::mt19937_64& random) {
  const double edge = std::sqrt(1.0 - keep);
  const auto half_height = static_cast<int64_t>(static_cast<double>(height) * edge) / 2;
  const auto half_width = static_cast<int64_t>(static_cast<double>(width) * edge) / 2;
  const int64_t y = whole(height - 1, random), x = whole(width - 1, random);
  const int64_t top = std::max<int64_t>(0, y - half_height),
                left = std::max<int64_t>(0, x - half_width);
  return {top, left, std::min(height, y + half_height) - top,
          std::min(width, x + half_width) - left};
}

/// keep * of[i] + (1 - keep) * of[partner[i]], over the first dimension.
at::Tensor blend(const at::Tensor& of, const std::vector<int64_t>& partner, double keep) {
  at::Tensor result = at::empty_like(of);
  const int64_t stride = of.size(0) > 0 ? of.numel() / of.size(0) : 0;
  const float* in = of.const_data_ptr<float>();
  float* out = result.mutable_data_ptr<float>();
  const auto own = static_cast<float>(keep), others = static_cast<float>(1.0 - keep);
  for (size_t i = 0; i < partner.size(); ++i, out += stride) {
    const float* a = in + static_cast<int64_t>(i) * stride;
    const float* b = in + partner[i] * stride;
    for (int64_t k = 0; k < stride; ++k) out[k] = own * a[k] + others * b[k];
  }
  return result;
}

/// The pictures with the box of their partners pasted in.
at::Tensor paste(const at::Tensor& pixels, const std::vector<int64_t>& partner, const Box& box) {
  at::Tensor result = at::empty_like(pixels);
  const int64_t channels = pixels.size(1), height = pixels.size(2), width = pixels.size(3);
  const int64_t stride = channels * height * width;
  const float* in = pixels.const_data_ptr<float>();
  float* out = result.mutable_data_ptr<float>();
  std::copy_n(in, pixels.numel(), out);
  for (size_t i = 0; i < partner.size(); ++i, out += stride) {
    for (int64_t line = 0; line < channels * box.height; ++line) {
      const int64_t c = line / box.height, y = box.top + line % box.height;
      const int64_t offset = (c * height + y) * width + box.left;
      std::copy_n(in + partner[i] * stride + offset, box.width, out + offset);
    }
  }
  return result;
}

}  // namespace

void check(const Augmentation& augment) {
  // Written so that NaN fails as well.
  if (augment.crop_padding < 0) {
    fail("the padding for random crops is {}; it must be 0 or more pixels", augment.crop_padding);
  }
  if (!(augment.scale_min > 0.0 && augment.scale_min <= 1.0)) {
    fail("the least area of random crops is {}; it must be in (0, 1]", augment.scale_min);
  }
  if (!(augment.shift >= 0.0 && augment.shift < 60.0)) {
    fail("sounds are shifted by up to {} s; it must be in [0, 60)", augment.shift);
  }
  if (!(augment.speed >= 0.0 && augment.speed <= 0.5)) {
    fail("sounds are played faster or slower by up to {}; it must be in [0, 0.5]", augment.speed);
  }
  if (!(augment.mixup >= 0.0 && std::isfinite(augment.mixup))) {
    fail("mixup's alpha is {}; it must be 0 (off) or a positive number", augment.mixup);
  }
  if (!(augment.cutmix >= 0.0 && std::isfinite(augment.cutmix))) {
    fail("cutmix's alpha is {}; it must be 0 (off) or a positive number", augment.cutmix);
  }
  if (!(augment.smoothing >= 0.0 && augment.smoothing < 1.0)) {
    fail("label smoothing is {}; it must be in [0, 1)", augment.smoothing);
  }
}

Image random_resized_crop(const Image& image, const ImageProcessor& processor, double scale_min,
                          std::mt19937_64& random) {
  const int64_t height = image.size(0), width = image.size(1);
  constexpr int kAttempts = 10;  // as many as usual; very long pictures may need the whole instead
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const double area = static_cast<double>(height * width) * uniform(scale_min, 1.0, random);
    const double shape = std::exp(uniform(std::log(3.0 / 4.0), std::log(4.0 / 3.0), random));
    const int64_t part_width = std::llround(std::sqrt(area * shape));
    const int64_t part_height = std::llround(std::sqrt(area / shape));
    if (part_width < 1 || part_height < 1 || part_width > width || part_height > height) continue;
    const int64_t top = whole(height - part_height, random),
                  left = whole(width - part_width, random);
    return processor.stretch(crop(image, top, left, part_height, part_width));
  }
  return processor.stretch(image);
}

Image shift_and_flip(const Image& fitted, const ImageProcessor& processor,
                     const Augmentation& augment, std::mt19937_64& random) {
  const int64_t height = fitted.size(0), width = fitted.size(1), padding = augment.crop_padding;
  Image result = fitted;
  if (padding > 0) {
    const int64_t top = whole(2 * padding, random) - padding;
    const int64_t left = whole(2 * padding, random) - padding;
    result = crop(result, top, left, height, width, processor.background());
  }
  if (augment.flip && coin(random)) {
    if (padding == 0)
      result = crop(result, 0, 0, height, width);  // the given picture stays as it is
    flip_rows(result);
  }
  return result;
}

at::Tensor smooth_targets(const at::Tensor& labels, int64_t classes, double smoothing) {
  const int64_t count = labels.size(0);
  at::Tensor targets = at::empty({count, classes}, at::kFloat);
  float* row = targets.mutable_data_ptr<float>();
  std::fill_n(row, targets.numel(), static_cast<float>(smoothing / static_cast<double>(classes)));
  for (int64_t i = 0; i < count; ++i, row += classes) {
    row[labels.const_data_ptr<int64_t>()[i]] += static_cast<float>(1.0 - smoothing);
  }
  return targets;
}

Audio change_speed(const Audio& audio, double most, std::mt19937_64& random) {
  // A ratio of small numbers is resampled with a small table of filters.
  constexpr int64_t kStep = 100;
  const double steps = static_cast<double>(audio.rate) / kStep, rounding = 1e-9 * steps;
  const double least = std::ceil(steps * (1.0 - most) - rounding),
               greatest = std::floor(steps * (1.0 + most) + rounding);
  const double drawn = std::round(steps * uniform(1.0 - most, 1.0 + most, random));
  if (least > greatest) return audio;
  return {audio.samples, kStep * std::llround(std::clamp(drawn, least, greatest))};
}

at::Tensor shift(const at::Tensor& samples, int64_t most, std::mt19937_64& random) {
  most = std::min(most, samples.numel());
  const int64_t by = std::uniform_int_distribution<int64_t>(-most, most)(random);
  // A negative number cuts off that much.
  return at::constant_pad_nd(samples, {by, -by}, 0);
}

std::pair<at::Tensor, at::Tensor> mix(const at::Tensor& pixels, const at::Tensor& targets,
                                      const Augmentation& augment, std::mt19937_64& random) {
  if ((augment.mixup == 0.0 && augment.cutmix == 0.0) || pixels.size(0) == 0)
    return {pixels, targets};
  const bool cut = augment.cutmix > 0.0 && (augment.mixup == 0.0 || coin(random));
  double keep = beta(cut ? augment.cutmix : augment.mixup, random);
  std::vector<int64_t> partner(static_cast<size_t>(pixels.size(0)));
  std::iota(partner.begin(), partner.end(), 0);
  std::shuffle(partner.begin(), partner.end(), random);
  if (!cut) return {blend(pixels, partner, keep), blend(targets, partner, keep)};
  const int64_t height = pixels.size(2), width = pixels.size(3);
  const Box box = random_box(height, width, keep, random);
  // The targets follow the area that was really pasted.
  keep = 1.0 - static_cast<double>(box.height * box.width) / static_cast<double>(height * width);
  return {paste(pixels, partner, box), blend(targets, partner, keep)};
}

}  // namespace pace
