#pragma once

#include "pace/data/loader.h"
#include "pace/models/factory.h"

namespace pace {

/// What a model did on a dataset at one setting.
struct Result {
  double budget = 1.0;         ///< asked for
  double accuracy = 0.0;       ///< in [0, 1]
  double macs = 0.0;           ///< mean per example, by the ledger
  double macs_fraction = 1.0;  ///< of the dense model's
  double seconds_per_item = 0.0;  ///< median over batches
  double time_fraction = 1.0;  ///< median over batches of time / dense time on the same batch, run in turn
  int64_t items = 0;
  /// Per adaptive part, in order of execution: how many tokens chose each k.
  std::vector<std::pair<std::string, std::vector<int64_t>>> choices;
};

struct Evaluation {
  Result dense;                 ///< budget 1; accuracy is NaN when there was no dense model to measure
  std::vector<Result> budgets;
  int64_t broken = 0;           ///< pictures left out
};

/// Runs the dense model and the adaptive one at each budget over every batch of the loader, in turn, so that times are
/// comparable. `dense` may be null: times are then taken on a model of the same shape. A dense `model` has budgets {1}.
Evaluation evaluate(const LoadedModel& model, const LoadedModel* dense, Loader& loader,
                    const std::vector<double>& budgets, Reporter& reporter);

/// The fields documented in docs/json.md.
json to_json(const Evaluation& evaluation);

/// Accuracy and mean share of MACs at a setting of budget and price; no timing.
struct Score {
  double accuracy = 0.0, macs_fraction = 1.0;
};
Score score(const LoadedModel& model, Loader& loader, double budget, double price);

}  // namespace pace
