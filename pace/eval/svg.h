#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Pieces of SVG and the little geometry that charts need.
namespace pace::svg {

/// Text as it may stand in HTML or SVG, also inside a quoted attribute.
std::string escape(std::string_view text);

/// The viridis colour map at t in [0, 1]: even in lightness, told apart by the colour-blind.
std::array<uint8_t, 3> viridis(double t);
std::string viridis_css(double t);  ///< "#rrggbb"

/// A range of values and where its ticks stand.
struct Axis {
  double low = 0.0, high = 1.0;
  std::vector<double> ticks;
  int digits = 0;       ///< after the point that a label needs
  bool percent = true;  ///< labels are in percent of 1, otherwise plain numbers
};

/// The smallest range that holds [low, high] and begins and ends at ticks of 1, 2, 2.5 or 5 times a
/// power of ten, about `count` of them.
Axis fit_axis(double low, double high, int count, bool percent = true);

/// The inner rectangle of a chart and the values along it.
struct Frame {
  double left = 0, top = 0, width = 0, height = 0;
  Axis x, y;

  double px(double value) const { return left + width * (value - x.low) / (x.high - x.low); }
  double py(double value) const {
    return top + height * (1.0 - (value - y.low) / (y.high - y.low));
  }
};

/// Grid lines, tick labels, and names of both axes (escaped here).
std::string axes(const Frame& frame, std::string_view x_name, std::string_view y_name);

std::string text(double x, double y, std::string_view css, std::string_view content);
std::string line(double x1, double y1, double x2, double y2, std::string_view css);
std::string polyline(const std::vector<std::pair<double, double>>& points, std::string_view css);
/// Circle, square, triangle or diamond by turns, with a tooltip.
std::string marker(size_t shape, double x, double y, std::string_view css, std::string_view tip);

/// `content` in a drawing of this size that shrinks with the page; `label` is read aloud in its
/// place.
std::string drawing(double width, double height, std::string_view label, std::string_view content);

}  // namespace pace::svg
