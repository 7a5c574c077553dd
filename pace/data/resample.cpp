#include "pace/data/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "pace/base/error.h"

namespace pace {
namespace {

// PIL's fixed point: 8 bits for the pixel, 2 for the overshoot of negative lobes, the rest for
// weights.
constexpr int kPrecision = 32 - 8 - 2;
constexpr int64_t kMostPixels = int64_t{1} << 28;

double bilinear(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

/// Keys' cubic with a = -1/2, PIL's choice.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

/// For each output position: where its taps begin in the input, how many there are, and their
/// weights.
struct Taps {
  int64_t most = 0;
  std::vector<int64_t> begin, count;
  std::vector<int32_t> weights;  // [output, most]
};

Taps taps_for(int64_t input, int64_t output, Filter filter) {
  const auto weight_at = filter == Filter::kBicubic ? bicubic : bilinear;
  const double scale = static_cast<double>(input) / static_cast<double>(output);
  const double widen = std::max(scale, 1.0);
  const double support = (filter == Filter::kBicubic ? 2.0 : 1.0) * widen;
  Taps taps;
  taps.most = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  taps.weights.assign(static_cast<size_t>(output * taps.most), 0);
  std::vector<double> exact(static_cast<size_t>(taps.most));
  for (int64_t i = 0; i < output; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const auto end = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), input);
    double sum = 0.0;
    for (int64_t k = 0; k < end - begin; ++k) {
      const double x = static_cast<double>(k + begin) - center + 0.5;
      sum += exact[static_cast<size_t>(k)] = weight_at(x * (1.0 / widen));
    }
    int32_t* weights = taps.weights.data() + i * taps.most;
    for (int64_t k = 0; k < end - begin; ++k) {
      double weight = exact[static_cast<size_t>(k)];
      if (sum != 0.0) weight /= sum;
      weights[k] = static_cast<int32_t>(std::copysign(0.5, weight) + weight * (1 << kPrecision));
    }
    taps.begin.push_back(begin);
    taps.count.push_back(end - begin);
  }
  return taps;
}

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kPrecision, 0, 255)); }

/// `channels` known to the compiler keeps the sums of a pixel in registers.
template <int channels>
void resample_rows(const uint8_t* in, uint8_t* out, int64_t rows, int64_t in_width,
                   int64_t out_width, const Taps& taps) {
  for (int64_t y = 0; y < rows; ++y, in += in_width * channels) {
    for (int64_t x = 0; x < out_width; ++x, out += channels) {
      const auto i = static_cast<size_t>(x);
      const int32_t* weights = taps.weights.data() + x * taps.most;
      const uint8_t* pixel = in + taps.begin[i] * channels;
      int32_t sum[channels];
      std::fill_n(sum, channels, 1 << (kPrecision - 1));
      for (int64_t k = 0; k < taps.count[i]; ++k, pixel += channels) {
        for (int c = 0; c < channels; ++c) sum[c] += weights[k] * pixel[c];
      }
      for (int c = 0; c < channels; ++c) out[c] = to_byte(sum[c]);
    }
  }
}

Image resample_width(const Image& image, int64_t width, Filter filter) {
  const int64_t rows = image.size(0), channels = image.size(2);
  const Taps taps = taps_for(image.size(1), width, filter);
  Image result = at::empty({rows, width, channels}, at::kByte);
  const auto run = channels == 3 ? resample_rows<3> : resample_rows<1>;
  run(image.const_data_ptr<uint8_t>(), result.mutable_data_ptr<uint8_t>(), rows, image.size(1),
      width, taps);
  return result;
}

Image resample_height(const Image& image, int64_t height, Filter filter) {
  const int64_t row = image.size(1) * image.size(2);
  const Taps taps = taps_for(image.size(0), height, filter);
  Image result = at::empty({height, image.size(1), image.size(2)}, at::kByte);
  const uint8_t* in = image.const_data_ptr<uint8_t>();
  uint8_t* out = result.mutable_data_ptr<uint8_t>();
  std::vector<int32_t> sum(static_cast<size_t>(row));
  for (int64_t y = 0; y < height; ++y, out += row) {
    std::fill(sum.begin(), sum.end(), 1 << (kPrecision - 1));
    for (int64_t k = 0; k < taps.count[static_cast<size_t>(y)]; ++k) {
      const int32_t weight = taps.weights[static_cast<size_t>(y * taps.most + k)];
      const uint8_t* line = in + (taps.begin[static_cast<size_t>(y)] + k) * row;
      for (int64_t x = 0; x < row; ++x) sum[static_cast<size_t>(x)] += weight * line[x];
    }
    for (int64_t x = 0; x < row; ++x) out[x] = to_byte(sum[static_cast<size_t>(x)]);
  }
  return result;
}

}  // namespace

Image resample(const Image& image, int64_t height, int64_t width, Filter filter) {
  if (height < 1 || width < 1 || height > kMostPixels / width) {
    fail("cannot resize a picture of {}x{} pixels to {}x{}: the result must have 1 to 2^28 pixels",
         image.size(1), image.size(0), width, height);
  }
  TORCH_INTERNAL_ASSERT(image.size(2) == 1 || image.size(2) == 3);
  Image result = image.contiguous();
  const bool new_width = result.size(1) != width, new_height = result.size(0) != height;
  // Each pass rounds, so their order shows in the bytes. Pillow 13 begins with the height when it
  // loses over twice as many pixels as the width.
  const int64_t lost_height = result.size(0) - height, lost_width = result.size(1) - width;
  const bool height_first = lost_height > 0 && lost_height > 2 * lost_width;
  if (height_first) result = resample_height(result, height, filter);
  if (new_width) result = resample_width(result, width, filter);
  if (new_height && !height_first) result = resample_height(result, height, filter);
  return result;
}

Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width,
           const std::vector<uint8_t>& background) {
  const int64_t channels = image.size(2);
  const Image source = image.contiguous();
  Image result = at::empty({height, width, channels}, at::kByte);
  const uint8_t* in = source.const_data_ptr<uint8_t>();
  uint8_t* out = result.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < height * width * channels; ++i) {
    out[i] = background.empty() ? uint8_t{0} : background[static_cast<size_t>(i % channels)];
  }
  const int64_t first = std::max<int64_t>(0, -left);
  const int64_t columns = std::min(width, image.size(1) - left) - first;
  for (int64_t y = std::max<int64_t>(0, -top); columns > 0 && y < height; ++y) {
    if (y + top >= image.size(0)) break;
    std::memcpy(out + (y * width + first) * channels,
                in + ((y + top) * image.size(1) + left + first) * channels,
                static_cast<size_t>(columns * channels));
  }
  return result;
}

}  // namespace pace
