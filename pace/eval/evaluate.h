#pragma once

#include <cmath>
#include <limits>
#include <span>

#include "pace/data/loader.h"
#include "pace/models/factory.h"

namespace pace {

/// How many tokens of one adaptive part chose each k: tokens[k].
struct SiteChoices {
  std::string site;
  std::vector<int64_t> tokens;
};

/// How many tokens ran each expert of one block, and how many none.
struct ExpertTokens {
  int64_t block = 0;
  std::vector<int64_t> tokens;
  int64_t none = 0;
};

/// Units or steps of one stage, as often as a position, example or token ran them.
struct StageUnits {
  std::string stage;
  int64_t run = 0, places = 0;  ///< in all; by how many positions, examples or tokens
  int64_t most = 0;             ///< that one of them can run

  double mean() const { return static_cast<double>(run) / static_cast<double>(places); }
};
/// Those of one pass of the model; the MLPs that tokens ran are a stage where they may run none.
std::vector<StageUnits> units_of(const LoadedModel& model, const Ledger& ledger);
json to_json(const std::vector<StageUnits>& units);
/// Mean units of all stages together.
double mean_units(const std::vector<StageUnits>& units);

/// What a model did on a dataset at one setting.
struct Result {
  double budget = 1.0;  ///< asked for
  /// In [0, 1]; of a language model: of the next token; of a speech recogniser: 1 less the
  /// character error rate, which may be below 0.
  double accuracy = 0.0;
  double macs = 0.0;           ///< mean per example, by the ledger
  double macs_fraction = 1.0;  ///< of the dense model's that was measured beside it
  /// Time, and its share of the dense model's, over all batches, which ran in turn, but those in
  /// which one of the two took three times as long for its MACs as in its median batch.
  double seconds_per_item = 0.0, time_fraction = 1.0;
  int64_t items = 0;
  std::vector<SiteChoices> choices = {};      ///< in order of execution; empty for a dense model
  std::vector<float> example_fractions = {};  ///< share of the dense model's MACs each example used
  /// Where examples leave at different blocks: the mean they ran (otherwise NaN), how many of them
  /// left after block n + 1, and how many blocks each ran.
  double blocks = std::numeric_limits<double>::quiet_NaN();
  std::vector<int64_t> exits = {};
  std::vector<int64_t> example_blocks = {};
  std::vector<int64_t> predicted = {};  ///< the class each example was given
  /// Of a language model: the mean cross-entropy of a token, in bits; of a speech recogniser that
  /// of a character; otherwise NaN.
  double bits = std::numeric_limits<double>::quiet_NaN();
  double perplexity() const { return std::exp2(bits); }
  double word_error_rate = std::numeric_limits<double>::quiet_NaN();  ///< of a speech recogniser
  /// Of a model that writes: measured, after half of the first example; otherwise NaN.
  double tokens_per_second = std::numeric_limits<double>::quiet_NaN();
  std::vector<StageUnits> units = {};      ///< of what halts or is routed, stage by stage
  std::vector<ExpertTokens> experts = {};  ///< block by block, where experts are in MLPs' place
  /// Share of the dense model's MACs that their halting units take, a part of macs_fraction. The
  /// SACT paper counts what is left: 2 * (macs_fraction - deciding_fraction) * dense MACs, in
  /// FLOPs.
  double deciding_fraction = 0.0;
};

/// Of routed blocks: what the tokens of each text give that compete for them, as in training, when
/// those that come later are known, and how well causal routing keeps to it at price 0.
struct Competition {
  double accuracy = 0.0, bits = 0.0, macs_fraction = 1.0;
  double alike = 0.0;  ///< share of tokens routed alike, mean over blocks
};

struct Evaluation {
  Result dense;  ///< budget 1; accuracy is NaN when there was no dense model to measure
  std::vector<Result> budgets;
  int64_t broken = 0;                 ///< pictures left out
  std::vector<int64_t> indices = {};  ///< of the examples in the dataset, in the order measured
  std::vector<int64_t> labels = {};   ///< their classes; empty for language models
  std::vector<std::string> classes = {};
  std::optional<Competition> competition = {};  ///< where blocks have routers
};

/// Where examples tell most: in the middle, where the model has to choose.
const Result& nearest_half(const std::vector<Result>& results);

/// What a model did on the examples of one class.
struct ClassResult {
  std::string name;
  int64_t items = 0;
  double accuracy = 0.0, macs_fraction = 0.0;  ///< means
};
/// Those of one of the evaluation's results; none of a language model.
std::vector<ClassResult> by_class(const Evaluation& evaluation, const Result& result);

/// Runs the dense model and the adaptive one at each budget over every batch of the loader, in
/// turn, so that times are comparable. `dense` may be null: an adaptive model's times are then
/// compared with a model of the dense shape and random weights, and a dense model is measured
/// against itself (its only budget is 1). Throws Error when a budget cannot be had or no picture
/// could be read.
Evaluation evaluate(const LoadedModel& model, const LoadedModel* dense, Loader& loader,
                    const std::vector<double>& budgets, Reporter& reporter);

/// The fields documented in docs/json.md.
json to_json(const Evaluation& evaluation);

/// Accuracy and mean share of MACs at a setting of budget and price; no timing.
struct Score {
  double accuracy = 0.0, macs_fraction = 1.0;
  double bits = 0.0;  ///< mean cross-entropy of an answer
};
Score score(const LoadedModel& model, Loader& loader, double budget, double price);
Score score(const LoadedModel& model, std::span<const Batch> batches, double budget, double price);

}  // namespace pace
