#include "pace/eval/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pace::svg {

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::array<uint8_t, 3> viridis(double t) {
  static constexpr std::array<std::array<uint8_t, 3>, 9> kStops{{{68, 1, 84},
                                                                 {71, 45, 123},
                                                                 {59, 82, 139},
                                                                 {44, 114, 142},
                                                                 {33, 145, 140},
                                                                 {40, 174, 128},
                                                                 {94, 201, 98},
                                                                 {173, 220, 48},
                                                                 {253, 231, 37}}};
  const double place = std::clamp(t, 0.0, 1.0) * (kStops.size() - 1);
  const size_t below = std::min(static_cast<size_t>(place), kStops.size() - 2);
  std::array<uint8_t, 3> colour;
  for (size_t i = 0; i < colour.size(); ++i) {
    const double value =
        std::lerp(static_cast<double>(kStops[below][i]), static_cast<double>(kStops[below + 1][i]),
                  place - static_cast<double>(below));
    colour[i] = static_cast<uint8_t>(std::lround(value));
  }
  return colour;
}

std::string viridis_css(double t) {
  const auto [red, green, blue] = viridis(t);
  return fmt::format("#{:02x}{:02x}{:02x}", red, green, blue);
}

Axis fit_axis(double low, double high, int count, bool percent) {
  const double raw = std::max(high - low, 1e-9) / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double multiple : {5.0, 2.5, 2.0, 1.0}) {
    if (multiple * power >= raw * 0.999) step = multiple * power;
  }
  Axis axis;
  const double first = std::floor(low / step + 1e-6), last = std::ceil(high / step - 1e-6);
  for (double i = first; i <= std::max(last, first + 1); ++i) axis.ticks.push_back(i * step);
  axis.low = axis.ticks.front();
  axis.high = axis.ticks.back();
  axis.percent = percent;
  const double shown = percent ? 100 * step : step;
  while (axis.digits < 6 && std::abs(shown * std::pow(10, axis.digits) -
                                     std::round(shown * std::pow(10, axis.digits))) > 1e-6) {
    ++axis.digits;
  }
  return axis;
}

namespace {

std::string tick_label(const Axis& axis, double tick) {
  return axis.percent ? fmt::format("{:.{}f}%", 100 * tick, axis.digits)
                      : fmt::format("{:.{}f}", tick, axis.digits);
}

}  // namespace

std::string axes(const Frame& frame, std::string_view x_name, std::string_view y_name) {
  const double right = frame.left + frame.width, bottom = frame.top + frame.height;
  std::string out;
  for (const double tick : frame.y.ticks) {
    out += line(frame.left, frame.py(tick), right, frame.py(tick), "grid");
    out += text(frame.left - 8, frame.py(tick) + 4, "tick end", tick_label(frame.y, tick));
  }
  for (const double tick : frame.x.ticks) {
    out += line(frame.px(tick), bottom, frame.px(tick), bottom + 5, "axis");
    out += text(frame.px(tick), bottom + 19, "tick middle", tick_label(frame.x, tick));
  }
  out += line(frame.left, bottom, right, bottom, "axis");
  out += text(frame.left + frame.width / 2, bottom + 40, "name middle", x_name);
  // The name of the y axis lies above it, where it reads without turning one's head.
  out += text(0, frame.top - 14, "name", y_name);
  return out;
}

std::string text(double x, double y, std::string_view css, std::string_view content) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>", x, y, css,
                     escape(content));
}

std::string line(double x1, double y1, double x2, double y2, std::string_view css) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>",
                     x1, y1, x2, y2, css);
}

std::string polyline(const std::vector<std::pair<double, double>>& points, std::string_view css) {
  std::string list;
  for (const auto& [x, y] : points) list += fmt::format("{:.1f},{:.1f} ", x, y);
  return fmt::format("<polyline points=\"{}\" class=\"{}\"/>", list, css);
}

std::string marker(size_t shape, double x, double y, std::string_view css, std::string_view tip) {
  std::string path;
  switch (shape % 4) {
    case 0:
      path = fmt::format("M{:.1f} {:.1f}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z", x - 4.5, y);
      break;
    case 1:
      path = fmt::format("M{:.1f} {:.1f}h8v8h-8z", x - 4, y - 4);
      break;
    case 2:
      path = fmt::format("M{:.1f} {:.1f}l5 9h-10z", x, y - 5.5);
      break;
    default:
      path = fmt::format("M{:.1f} {:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", x, y - 5.5);
  }
  return fmt::format("<path d=\"{}\" class=\"{}\"><title>{}</title></path>", path, css,
                     escape(tip));
}

std::string drawing(double width, double height, std::string_view label, std::string_view content) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">{}</svg>\n",
                     width, height, escape(label), content);
}

}  // namespace pace::svg
