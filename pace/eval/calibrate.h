#pragma once

#include "pace/eval/evaluate.h"

namespace pace {

/// Measures the accuracy-compute curve of an adaptive model on held-out data: for each of about a
/// dozen budgets from the cheapest the model can run to 1, bisects the price at which the mean MACs
/// of argmax choices meet the budget, and measures accuracy there. A halting network answers best
/// about where it was trained to halt: settings dearer than the last that is within half a point of
/// the best are left out, and larger budgets get that one. Of a model with routed blocks, all
/// settings dearer than the best are. `dense` gives the reference
/// metric.
Calibration calibrate(const LoadedModel& model, const LoadedModel& dense, Loader& held_out,
                      Reporter& reporter);

}  // namespace pace
