#include <fmt/format.h>

#include <algorithm>

#include "pace/eval/charts.h"
#include "pace/eval/page.h"
#include "pace/eval/svg.h"

namespace pace::charts {
namespace {

constexpr double kWidth = 520, kLeft = 44, kInner = kWidth - kLeft - 10;
constexpr double kWave = 56, kSpectrum = 110, kCompute = 84, kGap = 8;

/// Lowest and highest sample of each column, as one outline.
std::string waveform(const Audio& audio, double top) {
  constexpr int64_t kColumns = 400;
  const at::Tensor samples = audio.samples.contiguous();
  const float* begin = samples.const_data_ptr<float>();
  const int64_t count = samples.numel();
  const double loudest = std::max(1e-3, samples.abs().max().item<double>());
  std::string upper, lower;
  for (int64_t column = 0; column < kColumns; ++column) {
    const float* first = begin + column * count / kColumns;
    const float* last = std::max(first + 1, begin + (column + 1) * count / kColumns);
    const auto [low, high] = std::minmax_element(first, std::min(last, begin + count));
    const double x = kLeft + kInner * (static_cast<double>(column) + 0.5) / kColumns;
    const auto y = [&](double value) { return top + kWave / 2 * (1 - value / loudest); };
    upper += fmt::format("{:.1f},{:.1f} ", x, y(*high));
    lower = fmt::format("{:.1f},{:.1f} ", x, y(*low)) + lower;
  }
  return fmt::format("<polygon points=\"{}{}\" class=\"wave\"/>", upper, lower);
}

/// High frequencies at the top; from the quietest, or 80 dB below the loudest, to the loudest.
/// Silence has the colour of the quietest.
std::string spectrum(const at::Tensor& decibels, double top) {
  const at::Tensor levels = decibels.flip(0).to(at::kDouble).contiguous();
  const double loudest = levels.max().item<double>();
  const double least = std::max(levels.min().item<double>(), loudest - 80);
  const double range = std::max(loudest - least, 1.0);
  const Image image = at::empty({levels.size(0), levels.size(1), 3}, at::kByte);
  const double* level = levels.const_data_ptr<double>();
  auto* pixel = image.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < levels.numel(); ++i) {
    for (const uint8_t channel : svg::viridis((level[i] - least) / range)) *pixel++ = channel;
  }
  return fmt::format(
      "<image href=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" "
      "preserveAspectRatio=\"none\"/>",
      page::png_address(encode_png(image)), kLeft, top, kInner, kSpectrum);
}

/// A step for each moment.
std::string compute(const at::Tensor& share, const svg::Frame& frame) {
  const at::Tensor values = share.to(at::kDouble).contiguous();
  const double* value = values.const_data_ptr<double>();
  const double width = frame.width / static_cast<double>(values.numel());
  std::string points = fmt::format("{:.1f},{:.1f} ", frame.left, frame.py(0));
  for (int64_t i = 0; i < values.numel(); ++i) {
    const double x = frame.left + width * static_cast<double>(i), y = frame.py(value[i]);
    points += fmt::format("{:.1f},{:.1f} {:.1f},{:.1f} ", x, y, x + width, y);
  }
  points += fmt::format("{:.1f},{:.1f}", frame.left + frame.width, frame.py(0));
  return fmt::format("<polygon points=\"{}\" class=\"bin\"/>", points);
}

}  // namespace

std::string sound(const SoundMap& map, double most) {
  const double seconds =
      static_cast<double>(map.audio.samples.numel()) / static_cast<double>(map.audio.rate);
  svg::Frame frame{.left = kLeft,
                   .top = kWave + kSpectrum + 2 * kGap,
                   .width = kInner,
                   .height = kCompute,
                   .x = svg::fit_axis(0.0, seconds, 5, false),
                   .y = svg::fit_axis(0.0, most, 3)};
  frame.x.high = seconds;
  std::erase_if(frame.x.ticks, [&](double tick) { return tick > seconds; });
  const std::string content = waveform(map.audio, 0) + spectrum(map.spectrogram, kWave + kGap) +
                              svg::axes(frame, "seconds", "") + compute(map.share, frame);
  return svg::drawing(kWidth, frame.top + kCompute + 44,
                      "Waveform, spectrogram and compute over time of " + map.name, content);
}

}  // namespace pace::charts
