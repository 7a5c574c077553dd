#pragma once

#include "pace/eval/report.h"

/// The charts of the report: each gives a piece of HTML with inline SVG that takes its colours from
/// the page's style sheet.
namespace pace::charts {

/// Accuracy against what it costs: the adaptive model, the dense one as a line, the baselines, and
/// a legend.
std::string accuracy_over_macs(const Report& report);
std::string accuracy_over_time(const Report& report);
/// The same against the mean number of blocks; only for results that have `exits`.
std::string accuracy_over_blocks(const Report& report);
/// Measured time against MACs, with the diagonal on which time falls as the operations do.
std::string time_curve(const Evaluation& evaluation);
/// How the examples' own compute is spread, a row per budget.
std::string example_compute(const Evaluation& evaluation);
/// For one result: a bar per adaptive part, divided by how many learners its tokens ran.
std::string learners_used(const Result& result);
/// For one result: a bar per block with experts, divided by which of them its tokens ran.
std::string experts_used(const Result& result);
/// A bar per budget, divided by how many blocks the examples ran.
std::string exits_used(const Evaluation& evaluation);

/// The curves of several trainings, from a quarter of the longest one's compute on; nothing where
/// none is known.
std::string loss_over_training(const std::vector<TrainingCurve>& curves);

/// A sound's waveform, its spectrogram, and below them the share of the adaptive work that each
/// moment used, on a scale from 0 to `most`.
std::string sound(const SoundMap& map, double most);

/// A row for each routed part, a column for each of the first tokens of a text: those that ran it.
std::string routing(const TextMap& map);

}  // namespace pace::charts
