#include "pace/eval/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <numbers>

#include "pace/eval/charts.h"
#include "pace/eval/page.h"
#include "pace/eval/svg.h"
#include "pace/train/trainer.h"

namespace pace {
namespace {

std::string percent(double fraction, int digits = 1) {
  return std::isnan(fraction) ? "–" : fmt::format("{:.{}f}%", 100 * fraction, digits);
}

/// Percentage points with their sign.
std::string points(double difference) {
  if (std::isnan(difference)) return "–";
  const double rounded = std::round(1e4 * difference) / 100;
  if (rounded == 0) return "0.00";
  return fmt::format("{}{:.2f}", rounded < 0 ? "−" : "+", std::abs(rounded));
}

std::string macs(double count) {
  const auto [unit, name] = count >= 1e9   ? std::pair{1e9, " G"}
                            : count >= 1e6 ? std::pair{1e6, " M"}
                                           : std::pair{1e3, " k"};
  return fmt::format("{:.{}f}{}", count / unit, count / unit < 10 ? 2 : 1, name);
}

std::string milliseconds(double seconds) {
  if (std::isnan(seconds)) return "–";
  const double value = 1e3 * seconds;
  return fmt::format("{:.{}f}", value, value < 1 ? 3 : value < 10 ? 2 : 1);
}

/// 10000 -> "10,000".
std::string grouped(int64_t count) {
  std::string digits = std::to_string(count);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string budget_name(const Result& result) { return fmt::format("{:g}", result.budget); }

/// The cheapest result that costs no more than half a point of accuracy, or null.
const Result* cheapest_good(const Evaluation& evaluation) {
  const Result* best = nullptr;
  for (const Result& result : evaluation.budgets) {
    const bool good = result.accuracy >= evaluation.dense.accuracy - 0.005;
    if (good && (!best || result.macs_fraction < best->macs_fraction)) best = &result;
  }
  return best;
}

std::string figure(std::string_view value, std::string_view meaning) {
  return fmt::format("<div class=\"figure\"><b>{}</b><span>{}</span></div>\n", svg::escape(value),
                     svg::escape(meaning));
}

/// The few numbers worth seeing first.
std::string figures(const Evaluation& evaluation) {
  const Result& dense = evaluation.dense;
  std::string out = "<div class=\"figures\">\n";
  if (!std::isnan(dense.accuracy)) {
    out += figure(percent(dense.accuracy, 2), "accuracy of the dense model");
  }
  if (const Result* best = cheapest_good(evaluation)) {
    out += figure(percent(best->macs_fraction), "of the MACs keep it within half a point");
    out += figure(percent(best->time_fraction), "of the dense model's time there, measured");
  }
  out += figure(macs(dense.macs), "MACs per example, dense");
  out += figure(milliseconds(dense.seconds_per_item) + " ms", "per example, dense");
  return out + "</div>\n";
}

std::string meter(double fraction) {
  return fmt::format("<span class=\"meter\"><i style=\"width:{:.1f}%\"></i></span>",
                     100 * std::clamp(std::isnan(fraction) ? 0.0 : fraction, 0.0, 1.0));
}

/// Columns that only some models have, as their headings or a result's cells.
std::string more_headings(const Result& adaptive) {
  const bool speech = !std::isnan(adaptive.word_error_rate);
  return std::string(speech                      ? "<th>word error rate</th>"
                     : std::isnan(adaptive.bits) ? ""
                                                 : "<th>bits per token</th><th>perplexity</th>") +
         (std::isnan(adaptive.tokens_per_second) ? "" : "<th>tokens per second</th>") +
         (adaptive.units.empty() ? "" : "<th>mean units</th>");
}

std::string more_cells(const Result& result, const Result& adaptive) {
  std::string out;
  if (!std::isnan(adaptive.word_error_rate)) {
    out += fmt::format("<td>{}</td>", percent(result.word_error_rate, 2));
  } else if (!std::isnan(adaptive.bits)) {
    out += std::isnan(result.bits)
               ? "<td>–</td><td>–</td>"
               : fmt::format("<td>{:.3f}</td><td>{:.3f}</td>", result.bits, result.perplexity());
  }
  if (!std::isnan(adaptive.tokens_per_second)) {
    out += fmt::format("<td>{:.0f}</td>", result.tokens_per_second);
  }
  if (adaptive.units.empty()) return out;
  return out + (result.units.empty() ? "<td>all</td>"
                                     : fmt::format("<td>{:.2f}</td>", mean_units(result.units)));
}

std::string table_row(const std::string& name, const Result& result, const Evaluation& evaluation) {
  const Result& dense = evaluation.dense;
  const bool reference = &result == &dense;
  return fmt::format(
      "<tr{}><td>{}</td><td>{}</td><td>{}{}</td><td>{}</td><td>{}</td>{}<td>{}{}</td><td>{}</td>"
      "</tr>\n",
      reference ? " class=\"reference\"" : "", svg::escape(name), macs(result.macs),
      percent(result.macs_fraction), meter(result.macs_fraction), percent(result.accuracy, 2),
      reference ? "–" : points(result.accuracy - dense.accuracy),
      more_cells(result, evaluation.budgets.front()), percent(result.time_fraction),
      meter(result.time_fraction), milliseconds(result.seconds_per_item));
}

std::string table(const Evaluation& evaluation) {
  std::string rows = table_row("dense", evaluation.dense, evaluation);
  for (const Result& result : evaluation.budgets) {
    rows += table_row("budget " + budget_name(result), result, evaluation);
  }
  return fmt::format(
      "<div class=\"scroll\"><table>\n<thead><tr><th>setting</th><th>MACs</th>"
      "<th>share of dense</th><th>accuracy</th><th>points against dense</th>{}"
      "<th>time, share of dense</th><th>ms per example</th></tr></thead>\n<tbody>\n{}</tbody>"
      "</table></div>\n",
      more_headings(evaluation.budgets.front()), rows);
}

std::string baseline_tables(const Report& report) {
  if (report.baselines.empty()) return {};
  std::string rows;
  for (const Series& baseline : report.baselines) {
    for (const Result& result : baseline.points) {
      rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                          svg::escape(baseline.name), percent(result.macs_fraction),
                          percent(result.accuracy, 2),
                          points(result.accuracy - report.evaluation.dense.accuracy));
    }
  }
  return fmt::format(
      "<details><summary>The baselines in figures</summary><div class=\"scroll\"><table><thead>"
      "<tr><th>model</th><th>MACs, share of dense</th><th>accuracy</th>"
      "<th>points against dense</th></tr></thead><tbody>\n{}</tbody></table></div></details>\n",
      rows);
}

/// A chart for each budget, that of the one nearest to half in front.
std::string budget_tabs(const Evaluation& evaluation, std::string (*chart)(const Result&)) {
  std::vector<page::Tab> tabs;
  for (const Result& result : evaluation.budgets) {
    tabs.push_back({"budget " + budget_name(result), chart(result)});
  }
  const auto half = &nearest_half(evaluation.budgets) - evaluation.budgets.data();
  return page::tabs(tabs, std::min(static_cast<size_t>(half), page::kMostTabs - 1));
}

std::string learners_section(const Evaluation& evaluation) {
  if (evaluation.budgets.front().choices.empty()) return {};
  return page::section("Learners used per layer",
                       "How many learners the tokens ran in every adaptive part; the figure on the "
                       "right is the mean.",
                       budget_tabs(evaluation, charts::learners_used));
}

std::string experts_section(const Evaluation& evaluation) {
  if (evaluation.budgets.front().experts.empty()) return {};
  return page::section("Experts used per block",
                       "Which experts the tokens of every block ran, grey for none; the figure on "
                       "the right is the share that ran one.",
                       budget_tabs(evaluation, charts::experts_used));
}

/// A map as a picture of one pixel per patch or position.
Image coloured(const at::Tensor& share, double low, double high) {
  const at::Tensor values = share.to(at::kDouble).contiguous();
  const Image image = at::empty({share.size(0), share.size(1), 3}, at::kByte);
  const double* value = values.const_data_ptr<double>();
  auto* pixel = image.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < values.numel(); ++i) {
    for (const uint8_t channel : svg::viridis((value[i] - low) / (high - low))) *pixel++ = channel;
  }
  return image;
}

/// What was answered, and what was wanted where that is something else.
std::string answer(const std::string& predicted, const std::string& actual) {
  const std::string given = svg::escape(predicted);
  if (predicted == actual) return fmt::format("<b>{}</b>", given);
  return fmt::format("<b><em>{}</em>, really {}</b>", given, svg::escape(actual));
}

std::string map_figure(const HeatMap& map, double low, double high) {
  return fmt::format(
      "<figure><div class=\"sides\"><img src=\"{}\" alt=\"{}\"><img src=\"{}\" "
      "alt=\"compute per place\"></div><figcaption><span class=\"share\">{}</span>{}<br>{}"
      "</figcaption></figure>\n",
      page::png_address(encode_png(map.image)), svg::escape(map.name),
      page::png_address(encode_png(coloured(map.share, low, high))), percent(map.macs_fraction),
      answer(map.predicted, map.actual), svg::escape(map.name));
}

/// Maps share one colour scale, from the least to the most work any of their places used.
std::string maps_section(const Report& report) {
  if (report.heat_maps.empty()) return {};
  double low = 1.0, high = 0.0;
  for (const HeatMap& map : report.heat_maps) {
    low = std::min(low, map.share.min().item<double>());
    high = std::max(high, map.share.max().item<double>());
  }
  high = std::max(high, low + 0.01);
  std::string stops;
  for (int i = 0; i <= 8; ++i) stops += fmt::format(",{}", svg::viridis_css(i / 8.0));
  std::string out = fmt::format(
      "<div class=\"scale\"><span>{}</span><i style=\"background:linear-gradient(to "
      "right{})\"></i><span>{} of the adaptive work</span></div>\n<div class=\"maps\">\n",
      percent(low, 0), stops, percent(high, 0));
  for (const HeatMap& map : report.heat_maps) out += map_figure(map, low, high);
  return page::section(
      "Where in the picture",
      fmt::format("Work done for each place at budget {:g}: pictures from the cheapest to the "
                  "dearest, each beside its map. The figure is the picture's share of the dense "
                  "model's MACs.",
                  report.heat_map_budget),
      out + "</div>\n");
}

std::string sound_figure(const SoundMap& map, double most) {
  return fmt::format(
      "<figure>{}<figcaption><span class=\"share\">{}</span>{}<br>{}</figcaption></figure>\n",
      charts::sound(map, most), percent(map.macs_fraction), answer(map.predicted, map.actual),
      svg::escape(map.name));
}

std::string sounds_section(const Report& report) {
  if (report.sound_maps.empty()) return {};
  double most = 0.01;
  for (const SoundMap& map : report.sound_maps) {
    most = std::max(most, map.share.max().item<double>());
  }
  std::string out = "<div class=\"maps wide\">\n";
  for (const SoundMap& map : report.sound_maps) out += sound_figure(map, most);
  return page::section(
      "When in the sound",
      fmt::format("Waveform, spectrogram, and the share of the adaptive work that each moment used "
                  "at budget {:g}: sounds from the cheapest to the dearest. The figure is the "
                  "sound's share of the dense model's MACs.",
                  report.heat_map_budget),
      out + "</div>\n");
}

std::string on_colour(const std::string& text, double share) {
  return fmt::format("<span style=\"background:{};color:{}\">{}</span>", svg::viridis_css(share),
                     share < 0.5 ? "#fff" : "#000", svg::escape(text));
}

double share_of(const TextMap& map, double steps) {
  return (steps - static_cast<double>(map.least)) / static_cast<double>(map.most - map.least);
}

/// Pieces on the colour of their steps, those that follow each other on one where it is the same.
std::string text_figure(const TextMap& map) {
  std::string out;
  for (size_t i = 0; i < map.pieces.size();) {
    const double steps = map.pieces[i].steps;
    std::string text;
    for (; i < map.pieces.size() && map.pieces[i].steps == steps; ++i) {
      text += map.pieces[i].text;
    }
    out += on_colour(text, share_of(map, steps));
  }
  return fmt::format(
      "<figure><p>{}</p><figcaption><span class=\"share\">{:.2f} {}</span>{}"
      "</figcaption></figure>\n",
      out, map.mean, map.unit, svg::escape(map.name));
}

std::string text_maps_section(const Report& report) {
  if (report.text_maps.empty()) return {};
  std::string scale;
  const TextMap& first = report.text_maps.front();
  for (int64_t steps = first.least; steps <= first.most; ++steps) {
    scale += on_colour(fmt::format(" {} ", steps), share_of(first, static_cast<double>(steps)));
  }
  std::string out = fmt::format("<div class=\"text-maps\">\n<figure><p>{}</p></figure>\n", scale);
  for (const TextMap& map : report.text_maps) out += text_figure(map);
  return page::section("Where in the text",
                       fmt::format("How many {} each token took, at budget {:g}.", first.unit,
                                   report.heat_map_budget),
                       out + "</div>\n");
}

std::string routing_section(const Report& report) {
  std::string out;
  for (const TextMap& map : report.text_maps) {
    if (!map.routed.empty()) out += charts::routing(map);
  }
  if (out.empty()) return {};
  return page::section("Which token runs which block",
                       fmt::format("The first tokens of the texts above, at budget {:g}: yellow "
                                   "runs the block or MLP, violet passes it by.",
                                   report.heat_map_budget),
                       out);
}

std::string training_section(const Report& report) {
  const std::string chart = charts::loss_over_training(report.training);
  if (chart.empty()) return {};
  return page::section(
      "Loss against training compute",
      "Cross-entropy of the training text as it was met, since the model it began from "
      "and without a teacher's passes. A training step takes three times the "
      "operations of its forward pass, 2 FLOPs each.",
      chart);
}

/// Of the classes of the result nearest to half, from the cheapest to the dearest.
std::string classes_section(const Evaluation& evaluation) {
  constexpr size_t kMost = 30;
  const Result& half = nearest_half(evaluation.budgets);
  std::vector<ClassResult> classes = by_class(evaluation, half);
  if (classes.empty() || classes.size() > kMost) return {};
  std::ranges::stable_sort(classes, {}, &ClassResult::macs_fraction);
  std::string rows;
  for (const ClassResult& each : classes) {
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}{}</td><td>{}</td></tr>\n",
                        svg::escape(each.name), grouped(each.items), percent(each.macs_fraction),
                        meter(each.macs_fraction), percent(each.accuracy, 2));
  }
  return page::section(
      "Compute per class",
      fmt::format("At budget {:g}, from the cheapest class to the dearest.", half.budget),
      fmt::format("<div class=\"scroll\"><table>\n<thead><tr><th>class</th><th>examples</th>"
                  "<th>share of the dense model's MACs</th><th>accuracy</th></tr></thead>\n<tbody>"
                  "\n{}</tbody></table></div>\n",
                  rows));
}

std::string header(const Report& report) {
  const Evaluation& evaluation = report.evaluation;
  std::string broken;
  if (evaluation.broken > 0) broken = fmt::format(" {} broken were left out.", evaluation.broken);
  return fmt::format(
      "<header>\n<h1>{}</h1>\n<p>Measured on {} examples.{} Compute is counted in "
      "multiply-accumulates (1 MAC = 2 FLOPs); times are taken in turn on the same batches.</p>\n"
      "</header>\n",
      svg::escape(report.title), grouped(evaluation.dense.items), broken);
}

bool has_examples(const Evaluation& evaluation) {
  return std::any_of(evaluation.budgets.begin(), evaluation.budgets.end(),
                     [](const Result& result) { return !result.example_fractions.empty(); });
}

std::string texts_table(const std::vector<TextExample>& examples) {
  std::string rows;
  for (const TextExample& example : examples) {
    const bool right = example.predicted == example.actual;
    rows += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", example.blocks, svg::escape(example.text),
        right ? svg::escape(example.predicted)
              : fmt::format("<em>{}</em>, really {}", svg::escape(example.predicted),
                            svg::escape(example.actual)));
  }
  return fmt::format(
      "<div class=\"scroll\"><table class=\"texts\"><thead><tr><th>blocks</th><th>text</th>"
      "<th>answer</th></tr></thead><tbody>\n{}</tbody></table></div>\n",
      rows);
}

/// What is to be said of a model whose examples leave at different blocks.
std::string exits_sections(const Report& report) {
  const Evaluation& evaluation = report.evaluation;
  if (evaluation.budgets.empty() || evaluation.budgets.front().exits.empty()) return {};
  std::string out = "<div class=\"pair\">\n";
  out += page::section("Accuracy against blocks", "The mean number of blocks an example runs.",
                       charts::accuracy_over_blocks(report));
  out += page::section("Accuracy against time", "What the saved blocks are worth on this machine.",
                       charts::accuracy_over_time(report));
  out += "</div>\n";
  out += page::section("Where examples leave",
                       "After how many blocks the examples were answered, a bar per budget; the "
                       "figure on the right is the mean.",
                       charts::exits_used(evaluation));
  if (report.text_examples.empty()) return out;
  return out + page::section("Texts by the blocks they need",
                             fmt::format("At budget {:g}, some that left after each block.",
                                         report.examples_budget),
                             texts_table(report.text_examples));
}

}  // namespace

std::vector<TextExample> text_examples(const Result& result, const std::vector<int64_t>& indices,
                                       const Dataset& dataset,
                                       const std::vector<std::string>& labels, size_t most) {
  std::map<int64_t, std::vector<size_t>> places;  // of the examples, by blocks
  for (size_t i = 0; i < result.example_blocks.size(); ++i) {
    places[result.example_blocks[i]].push_back(i);
  }
  std::vector<TextExample> examples;
  for (const auto& [blocks, all] : places) {
    const size_t count = std::min(most, all.size());
    for (size_t i = 0; i < count; ++i) {
      const size_t place = all[i * all.size() / count];
      const int64_t index = indices.at(place);
      const Text text = dataset.text(index);
      examples.push_back({blocks, text.second ? text.first + " | " + *text.second : text.first,
                          labels.at(static_cast<size_t>(result.predicted.at(place))),
                          labels.at(static_cast<size_t>(dataset.label(index)))});
    }
  }
  return examples;
}

TrainingCurve read_training_curve(const std::string& name, const fs::path& folder) {
  constexpr double kFlopsOfMac = 2 * 3;
  TrainingCurve curve{name, {}};
  std::ifstream file(folder / Trainer::kMetrics);
  for (std::string text; std::getline(file, text);) {
    const json line = json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains(kMacs) || !line.contains("loss")) continue;
    curve.points.emplace_back(kFlopsOfMac * line[kMacs].get<double>(),
                              line["loss"].get<double>() / std::numbers::ln2);
  }
  return curve;
}

std::string render_report(const Report& report) {
  const Evaluation& evaluation = report.evaluation;
  std::string body = header(report) + figures(evaluation);
  body += page::section("Every budget", "", table(evaluation));
  body += "<div class=\"pair\">\n";
  body += page::section("Accuracy against compute", "Higher and further left is better.",
                        charts::accuracy_over_macs(report) + baseline_tables(report));
  body += page::section("Time against compute", "On the diagonal every operation saved saves time.",
                        charts::time_curve(evaluation));
  body += "</div>\n";
  body += training_section(report);
  body += exits_sections(report);
  if (has_examples(evaluation)) {
    body +=
        page::section("Compute per example", "A budget is a mean: each example gets what it needs.",
                      charts::example_compute(evaluation));
  }
  if (has_examples(evaluation)) body += classes_section(evaluation);
  body += learners_section(evaluation) + experts_section(evaluation);
  body += maps_section(report) + sounds_section(report) + text_maps_section(report) +
          routing_section(report);
  body += page::section(
      "Configuration", "",
      fmt::format(
          "<details><summary>Everything needed to repeat this run</summary><pre>{}</pre>"
          "</details>\n",
          svg::escape(report.configuration.dump(2, ' ', false, json::error_handler_t::replace))));
  return page::document(report.title, body);
}

void write_report(const fs::path& target, const Report& report) {
  write_text(target, render_report(report));
}

}  // namespace pace
