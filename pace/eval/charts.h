#pragma once

#include "pace/eval/report.h"

/// The charts of the report: each gives a piece of HTML with inline SVG that takes its colours from
/// the page's style sheet.
namespace pace::charts {

/// Accuracy against MACs: the adaptive model, the dense one as a line, the baselines, and a legend.
std::string accuracy_curve(const Report& report);
/// Measured time against MACs, with the diagonal on which time falls as the operations do.
std::string time_curve(const Evaluation& evaluation);
/// How the examples' own compute is spread, a row per budget.
std::string example_compute(const Evaluation& evaluation);
/// For one result: a bar per adaptive part, divided by how many learners its tokens ran.
std::string learners_used(const Result& result);

}  // namespace pace::charts
