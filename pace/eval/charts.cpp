#include "pace/eval/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "pace/eval/svg.h"

namespace pace::charts {
namespace {

constexpr double kWidth = 560, kWide = 1080, kHeight = 380;

using Points = std::vector<std::pair<double, double>>;

svg::Frame frame(svg::Axis x, svg::Axis y, double width = kWidth) {
  return {.left = 48,
          .top = 32,
          .width = width - 48 - 24,
          .height = kHeight - 32 - 50,
          .x = std::move(x),
          .y = std::move(y)};
}

std::vector<Result> by_cost(std::vector<Result> results) {
  std::sort(results.begin(), results.end(),
            [](const Result& a, const Result& b) { return a.macs_fraction < b.macs_fraction; });
  return results;
}

std::string tip(std::string_view name, const Result& result) {
  return std::isnan(result.accuracy)
             ? fmt::format("{}: {:.1f}% of the MACs", name, 100 * result.macs_fraction)
             : fmt::format("{}: {:.2f}% accuracy at {:.1f}% of the MACs", name,
                           100 * result.accuracy, 100 * result.macs_fraction);
}

/// A legend in HTML, so that it wraps as the page narrows. Entries are (CSS class, shape, name).
struct Entry {
  std::string css, name;
  size_t shape = 0;
  bool dashed = false;
};

std::string legend(const std::vector<Entry>& entries) {
  std::string out = "<ul class=\"legend\">";
  for (const Entry& entry : entries) {
    std::string key = svg::line(1, 7, 29, 7, entry.dashed ? "curve dashed" : "curve");
    if (!entry.dashed) key += svg::marker(entry.shape, 15, 7, "mark", entry.name);
    out += fmt::format(
        "<li><svg class=\"key {}\" viewBox=\"0 0 30 14\" aria-hidden=\"true\">{}</svg>{}</li>",
        entry.css, key, svg::escape(entry.name));
  }
  return out + "</ul>\n";
}

/// What stands along the axes of a chart of results.
struct Measures {
  double Result::*x;
  double Result::*y;
};

/// A line through points with a marker on each.
std::string series(const svg::Frame& box, const std::string& css, size_t shape,
                   const std::vector<Result>& results, const Measures& measures,
                   std::string_view name) {
  Points points;
  std::string marks;
  for (const Result& result : results) {
    if (std::isnan(result.*measures.x) || std::isnan(result.*measures.y)) continue;
    points.emplace_back(box.px(result.*measures.x), box.py(result.*measures.y));
    marks +=
        svg::marker(shape, points.back().first, points.back().second, "mark", tip(name, result));
  }
  return fmt::format("<g class=\"{}\">{}{}</g>", css, svg::polyline(points, "curve"), marks);
}

/// The range of accuracies shown: all of the adaptive model's and the dense one's; a baseline that
/// collapses runs out of the picture instead of flattening what is to be seen.
svg::Axis accuracy_axis(const Report& report) {
  double low = 1.0, high = 0.0, low_baseline = 1.0;
  const auto widen = [&](double value) {
    if (std::isnan(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  };
  for (const Result& result : report.evaluation.budgets) widen(result.accuracy);
  widen(report.evaluation.dense.accuracy);
  for (const Series& baseline : report.baselines) {
    for (const Result& result : baseline.points) {
      low_baseline = std::min(low_baseline, result.accuracy);
      high = std::max(high, result.accuracy);
    }
  }
  if (low > high) return svg::fit_axis(0.0, 1.0, 5);  // nothing was measured
  const double span = std::max(high - low, 0.02);
  low = std::min(low, std::max(low_baseline, high - 3 * span));
  return svg::fit_axis(std::max(std::min(0.0, low), low - 0.05 * span),
                       std::min(1.0, high + 0.05 * span), 6);
}

/// A range of shares of the dense model's cost that holds all that are shown.
svg::Axis share_axis(const Report& report, double Result::*share) {
  double low = 0.8, high = 1.0;
  const auto widen = [&](const std::vector<Result>& results) {
    for (const Result& result : results) {
      low = std::min(low, result.*share);
      high = std::max(high, result.*share);
    }
  };
  widen(report.evaluation.budgets);
  for (const Series& baseline : report.baselines) widen(baseline.points);
  svg::Axis axis = svg::fit_axis(low - 0.02, 1.0, 8);
  axis.low = std::max(0.0, axis.low);
  axis.high = std::max(high, 1.0) + 0.02;  // room for the marker at the right end
  return axis;
}

svg::Axis blocks_axis(size_t blocks) {
  svg::Axis axis;
  axis.low = 0.8;
  axis.high = static_cast<double>(blocks) + 0.2;
  axis.percent = false;
  for (size_t n = 1; n <= blocks; ++n) axis.ticks.push_back(static_cast<double>(n));
  return axis;
}

std::string accuracy_labels(const svg::Frame& box, const std::vector<Result>& results,
                            double Result::*x) {
  if (results.size() > 8) return {};
  std::string out;
  for (const Result& result : results) {
    if (std::isnan(result.accuracy) || std::isnan(result.*x)) continue;
    out += svg::text(box.px(result.*x), box.py(result.accuracy) + 19, "value middle",
                     fmt::format("{:.1f}", 100 * result.accuracy));
  }
  return out;
}

/// A quantity that accuracy is drawn against.
struct Cost {
  double Result::*value;
  svg::Axis axis;
  std::string name;    ///< of the axis
  double dense = 1.0;  ///< the dense model's
};

/// The adaptive model, the dense one as a line, the baselines, and a legend.
std::string accuracy_over(const Report& report, const Cost& cost) {
  const svg::Frame box = frame(cost.axis, accuracy_axis(report));
  const Measures measures{cost.value, &Result::accuracy};
  const Result& dense = report.evaluation.dense;
  std::vector<Entry> entries{{"s0", "adaptive", 0}};
  std::string content = svg::axes(box, cost.name, "accuracy");
  std::string curves;
  if (!std::isnan(dense.accuracy)) {
    const double y = box.py(dense.accuracy);
    curves += fmt::format("<g class=\"dense\">{}{}</g>",
                          svg::line(box.left, y, box.left + box.width, y, "curve dashed"),
                          svg::marker(3, box.px(cost.dense), y, "mark", tip("dense", dense)));
    entries.push_back({"dense", "dense", 3, true});
  }
  for (size_t i = 0; i < report.baselines.size(); ++i) {
    const std::string css = fmt::format("s{}", 1 + i % 4);
    const Series& baseline = report.baselines[i];
    curves += series(box, css, 1 + i, by_cost(baseline.points), measures, baseline.name);
    entries.push_back({css, baseline.name, 1 + i});
  }
  const std::vector<Result> adaptive = by_cost(report.evaluation.budgets);
  curves += series(box, "s0 first", 0, adaptive, measures, "adaptive");
  content += fmt::format(
      "<clipPath id=\"plot\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>"
      "</clipPath><g clip-path=\"url(#plot)\">{}</g>",
      box.left - 6, box.top - 6, box.width + 12, box.height + 6, curves);
  content += accuracy_labels(box, adaptive, cost.value);
  return legend(entries) + svg::drawing(kWidth, kHeight, "Accuracy against " + cost.name, content);
}

/// "layer.3.mlp" -> {"mlp", "layer 3"}: parts of one kind stand together.
std::pair<std::string, std::string> kind_and_place(const std::string& site) {
  const size_t dot = site.rfind('.');
  if (dot == std::string::npos) return {"", site};
  std::string place = site.substr(0, dot);
  std::replace(place.begin(), place.end(), '.', ' ');
  return {site.substr(dot + 1), place};
}

/// None is grey, as it is nothing; more are brighter.
std::string amount_colour(size_t k, size_t most) {
  if (k == 0) return "var(--none)";
  return svg::viridis_css(most == 1 ? 0.6 : 0.1 + 0.85 * static_cast<double>(k - 1) / (most - 1));
}

/// A part of a bar, left out where it is empty.
std::string segment(double share, const std::string& colour, const std::string& meaning) {
  if (share == 0.0) return {};
  return fmt::format("<i style=\"width:{:.2f}%;background:{}\" title=\"{}: {:.1f}%\"></i>",
                     100 * share, colour, meaning, 100 * share);
}

std::string bar(const std::string& name, const std::string& segments, const std::string& figure) {
  return fmt::format(
      "<div class=\"row\"><span>{}</span><div class=\"stack\">{}</div><b>{}</b></div>",
      svg::escape(name), segments, figure);
}

/// A bar divided by how many (tokens, say) have each amount k = 0, 1, ... of something, with the
/// mean amount at its end; `meaning` is put between the two in tooltips.
std::string amounts_bar(const std::string& name, const std::vector<int64_t>& counts,
                        std::string_view meaning) {
  const double total = static_cast<double>(
      std::max<int64_t>(1, std::accumulate(counts.begin(), counts.end(), int64_t{0})));
  const size_t most = counts.size() - 1;
  double mean = 0.0;
  std::string segments;
  for (size_t k = 0; k <= most; ++k) {
    const double share = static_cast<double>(counts[k]) / total;
    mean += share * static_cast<double>(k);
    segments +=
        segment(share, amount_colour(k, most), fmt::format("{} of {} {}", k, most, meaning));
  }
  return bar(name, segments, fmt::format("{:.1f}", mean));
}

std::string amounts_legend(std::string_view what, size_t least, size_t most) {
  std::string out = fmt::format("<ul class=\"legend\"><li>{}:</li>", what);
  for (size_t k = least; k <= most; ++k) {
    out += fmt::format("<li><i class=\"swatch\" style=\"background:{}\"></i>{}</li>",
                       amount_colour(k, most), k);
  }
  return out + "</ul>\n";
}

/// Shares of examples by compute in equal bins over [0, high].
std::vector<double> histogram(const std::vector<float>& values, double high, size_t bins) {
  std::vector<double> shares(bins, 0.0);
  for (const float value : values) {
    const auto bin = static_cast<size_t>(std::max(0.0, value / high * static_cast<double>(bins)));
    shares[std::min(bin, bins - 1)] += 1.0 / static_cast<double>(values.size());
  }
  return shares;
}

}  // namespace

std::string accuracy_over_macs(const Report& report) {
  return accuracy_over(report, {&Result::macs_fraction, share_axis(report, &Result::macs_fraction),
                                "share of the dense model's MACs"});
}

std::string accuracy_over_time(const Report& report) {
  return accuracy_over(report, {&Result::time_fraction, share_axis(report, &Result::time_fraction),
                                "measured time, share of the dense model's"});
}

std::string accuracy_over_blocks(const Report& report) {
  const size_t blocks = report.evaluation.budgets.front().exits.size();
  return accuracy_over(report, {&Result::blocks, blocks_axis(blocks), "blocks run, mean",
                                static_cast<double>(blocks)});
}

std::string time_curve(const Evaluation& evaluation) {
  double high = 1.0;
  for (const Result& result : evaluation.budgets) high = std::max(high, result.time_fraction);
  svg::Axis x = svg::fit_axis(0.0, 1.0, 5);
  x.high = 1.04;
  svg::Axis y = svg::fit_axis(0.0, 1.0, 5);
  while (y.high < high) {
    y.ticks.push_back(y.ticks.back() + 0.2);
    y.high = y.ticks.back();
  }
  y.high = std::max(y.high, 1.04);
  const svg::Frame box = frame(x, y);
  std::string content = svg::axes(box, "share of the dense model's MACs",
                                  "measured time, share of the dense model's");
  content += svg::line(box.px(0), box.py(0), box.px(1), box.py(1), "curve dashed ideal");
  content += series(box, "s0 first", 0, by_cost(evaluation.budgets),
                    {&Result::macs_fraction, &Result::time_fraction}, "adaptive");
  content += fmt::format("<g class=\"dense\">{}</g>",
                         svg::marker(3, box.px(1), box.py(1), "mark", "dense: 100% of the time"));
  return legend({{"s0", "adaptive", 0}, {"ideal", "time in proportion to MACs", 0, true}}) +
         svg::drawing(kWidth, kHeight, "Measured time against compute", content);
}

std::string example_compute(const Evaluation& evaluation) {
  constexpr double kRow = 68, kLeft = 78;
  constexpr size_t kBins = 100;
  std::vector<Result> results = by_cost(evaluation.budgets);
  double high = 1.0;
  for (const Result& result : results) {
    for (const float value : result.example_fractions) high = std::max<double>(high, value);
  }
  const double height = kRow * static_cast<double>(results.size()) + 62;
  svg::Frame box{.left = kLeft,
                 .top = 12,
                 .width = kWide - kLeft - 20,
                 .height = height - 62,
                 .x = svg::fit_axis(0.0, 1.0, 10),
                 .y = {}};
  box.x.high = high;
  std::string content = svg::axes(box, "share of the dense model's MACs used by an example", "");
  const double bin_width = box.width / kBins;
  for (size_t i = 0; i < results.size(); ++i) {
    const double base = box.top + kRow * static_cast<double>(i + 1);
    const std::vector<double> shares = histogram(results[i].example_fractions, high, kBins);
    const double most = std::max(1e-9, *std::max_element(shares.begin(), shares.end()));
    content += svg::line(box.left, base, box.left + box.width, base, "grid");
    content += svg::text(0, base - 8, "name", fmt::format("budget {:g}%", 100 * results[i].budget));
    for (size_t bin = 0; bin < kBins; ++bin) {
      if (shares[bin] == 0.0) continue;
      const double tall = std::max(1.0, (kRow - 22) * shares[bin] / most);
      content += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"bin\">"
          "<title>{:.1f}% of examples</title></rect>",
          box.left + bin_width * static_cast<double>(bin) + 0.5, base - tall, bin_width - 1, tall,
          100 * shares[bin]);
    }
    const double mean = box.px(results[i].macs_fraction);
    content += svg::line(mean, base - kRow + 4, mean, base, "mean");
    const bool at_right = results[i].macs_fraction > 0.85 * high;  // where the text would stick out
    content +=
        svg::text(mean + (at_right ? -6 : 6), base - kRow + 14, at_right ? "value end" : "value",
                  fmt::format("mean {:.1f}%", 100 * results[i].macs_fraction));
  }
  return svg::drawing(kWide, height, "Compute per example at each budget", content);
}

std::string learners_used(const Result& result) {
  std::vector<std::pair<std::string, std::string>> groups;  // kind, rows; in order of appearance
  size_t most = 0;
  for (const SiteChoices& part : result.choices) {
    const auto [kind, place] = kind_and_place(part.site);
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&, &name = kind](const auto& entry) { return entry.first == name; });
    if (group == groups.end()) group = groups.insert(groups.end(), {kind, ""});
    group->second += amounts_bar(place, part.tokens, "learners, tokens");
    most = std::max(most, part.tokens.size() - 1);
  }
  std::string out = amounts_legend("learners run", 0, most) + "<div class=\"groups\">";
  for (const auto& [kind, rows] : groups) {
    out += fmt::format("<div class=\"group\"><h4>{}</h4>{}</div>\n", svg::escape(kind), rows);
  }
  return out + "</div>\n";
}

std::string experts_used(const Result& result) {
  std::string out;
  for (const ExpertTokens& part : result.experts) {
    const int64_t ran = std::accumulate(part.tokens.begin(), part.tokens.end(), int64_t{0});
    const auto total = static_cast<double>(std::max<int64_t>(1, ran + part.none));
    const double none = static_cast<double>(part.none) / total;
    std::string segments = segment(none, amount_colour(0, 1), "no expert");
    for (size_t i = 0; i < part.tokens.size(); ++i) {
      segments += segment(static_cast<double>(part.tokens[i]) / total,
                          amount_colour(i + 1, part.tokens.size()), fmt::format("expert {}", i));
    }
    out += bar(fmt::format("block {}", part.block), segments,
               fmt::format("{:.0f}%", 100 * static_cast<double>(ran) / total));
  }
  return out;
}

std::string exits_used(const Evaluation& evaluation) {
  const std::vector<Result> results = by_cost(evaluation.budgets);
  std::string out = amounts_legend("blocks run", 1, results.front().exits.size());
  for (const Result& result : results) {
    std::vector<int64_t> counts{0};
    counts.insert(counts.end(), result.exits.begin(), result.exits.end());
    out += amounts_bar(fmt::format("{:g}%", 100 * result.budget), counts, "blocks, examples");
  }
  return out;
}

std::string loss_over_training(const std::vector<TrainingCurve>& curves) {
  double most = 0.0, low = std::numeric_limits<double>::infinity(), high = 0.0;
  for (const TrainingCurve& curve : curves) {
    if (!curve.points.empty()) most = std::max(most, curve.points.back().first);
  }
  if (most == 0.0) return {};
  // What the loss falls from at the very beginning would flatten what is to be seen.
  const double first = most / 4;
  for (const TrainingCurve& curve : curves) {
    for (const auto& [flops, bits] : curve.points) {
      low = std::min(low, bits);
      if (flops >= first) high = std::max(high, bits);
    }
  }
  const double unit = std::pow(1000.0, std::floor(std::log10(most) / 3));
  const svg::Frame box = frame(svg::fit_axis(0.0, most / unit, 6, false),
                               svg::fit_axis(low, std::max(high, low + 0.01), 6, false), kWide);
  std::string content =
      svg::axes(box, fmt::format("training FLOPs, 1e{:.0f}", std::log10(unit)), "bits per token");
  std::vector<Entry> entries;
  for (size_t i = 0; i < curves.size(); ++i) {
    Points points;
    for (const auto& [flops, bits] : curves[i].points) {
      if (flops >= first) points.emplace_back(box.px(flops / unit), box.py(bits));
    }
    if (points.empty()) continue;
    const bool dense = curves[i].name == "dense";
    const Entry entry{dense ? "dense" : fmt::format("s{}", i % 5), curves[i].name, dense ? 3 : i};
    const auto& [flops, bits] = curves[i].points.back();
    content += fmt::format(
        "<g class=\"{}\">{}{}</g>", entry.css, svg::polyline(points, "curve"),
        svg::marker(entry.shape, points.back().first, points.back().second, "mark",
                    fmt::format("{}: {:.3f} bits after {:.3g} FLOPs", entry.name, bits, flops)));
    entries.push_back(entry);
  }
  return legend(entries) + svg::drawing(kWide, kHeight, "Loss against training FLOPs", content);
}

std::string routing(const TextMap& map) {
  constexpr size_t kMost = 90;
  constexpr double kLeft = 70, kTop = 64, kSide = 12;
  const size_t tokens = std::min(kMost, map.tokens.size());
  std::string out;
  for (size_t token = 0; token < tokens; ++token) {
    const double x = kLeft + kSide * static_cast<double>(token) + kSide / 2;
    out += fmt::format("<text transform=\"translate({:.0f} {:.0f}) rotate(-60)\">{}</text>", x,
                       kTop - 6, svg::escape(map.tokens[token]));
  }
  double y = kTop;
  for (const TextMap::Routed& routed : map.routed) {
    out += svg::text(kLeft - 8, y + kSide - 2, "tick end", routed.part);
    for (size_t token = 0; token < tokens; ++token) {
      out += fmt::format(
          "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" height=\"{:.0f}\" "
          "fill=\"{}\"/>",
          kLeft + kSide * static_cast<double>(token), y, kSide - 1, kSide - 1,
          svg::viridis_css(routed.ran[token] ? 1.0 : 0.0));
    }
    y += kSide;
  }
  return svg::drawing(kLeft + kSide * static_cast<double>(kMost), y, "routed parts of each token",
                      out);
}

}  // namespace pace::charts
