#pragma once

#include "pace/data/audio_processor.h"
#include "pace/data/ctc.h"
#include "pace/data/tokenizer.h"
#include "pace/eval/evaluate.h"

namespace pace {

/// A curve of another model drawn beside the adaptive one: a baseline.
struct Series {
  std::string name;
  std::vector<Result> points;
};

/// One picture with the compute its patches or positions used.
struct HeatMap {
  std::string name;
  std::string predicted, actual;
  double macs_fraction = 1.0;
  Image image;       ///< as the model saw it, uint8 [height, width, channels]
  at::Tensor share;  ///< float [rows, columns] in [0, 1]: share of adaptive work each place used
};

/// A sound with the compute that its moments used.
struct SoundMap {
  std::string name;
  std::string predicted, actual;
  double macs_fraction = 1.0;
  Audio audio;             ///< as the model heard it
  at::Tensor spectrogram;  ///< float [frequencies, times]: decibels, low frequencies first
  at::Tensor share;        ///< float [moments] in [0, 1]: share of adaptive work each one used
};

/// A text with the steps, blocks or MLPs that its tokens took.
struct TextMap {
  struct Piece {
    std::string text;  ///< UTF-8: a token, or several whose bytes make a character
    double steps = 0.0;
  };
  std::string name;
  std::string unit;  ///< what is counted: "steps", "blocks" or "MLPs"
  std::vector<Piece> pieces;
  double mean = 0.0;            ///< steps of a token
  int64_t least = 0, most = 0;  ///< that it can take

  /// A routed block, or an MLP that tokens may pass by, and which ran it.
  struct Routed {
    std::string part;  ///< "block 3", "MLP 3"
    std::vector<bool> ran;
  };
  std::vector<std::string> tokens;  ///< UTF-8, what each is in the text; of routed models
  std::vector<Routed> routed;
};

/// A text with the number of blocks after which it was answered.
struct TextExample {
  int64_t blocks = 0;
  std::string text, predicted, actual;
};

/// How the loss of a language model fell in its training.
struct TrainingCurve {
  std::string name;
  /// FLOPs spent so far, three times those of the forward passes, and bits per token since the
  /// point before.
  std::vector<std::pair<double, double>> points;
};

/// That of the model in `folder`, by its metrics.jsonl; no points where that does not tell.
TrainingCurve read_training_curve(const std::string& name, const fs::path& folder);

struct Report {
  std::string title;
  Evaluation evaluation;
  std::vector<Series> baselines;
  double heat_map_budget = 1.0;  ///< at which the heat maps were made
  std::vector<HeatMap> heat_maps;
  std::vector<SoundMap> sound_maps;  ///< at the same budget
  std::vector<TextMap> text_maps;    ///< likewise
  double examples_budget = 1.0;      ///< at which the text examples were answered
  std::vector<TextExample> text_examples;
  std::vector<TrainingCurve> training;
  json configuration;  ///< everything needed to repeat the run
};

/// Heat maps of `count` examples spread evenly from the cheapest to the dearest of a random sample
/// of the dataset at `budget`. Pictures that cannot be read are passed over. Throws Error when the
/// model is no vision transformer with adaptive parts and no residual network that halts.
std::vector<HeatMap> heat_maps(const LoadedModel& model, const ImageProcessor& processor,
                               const Dataset& dataset, double budget, int64_t count, uint64_t seed);

/// The same of sounds, for transformers with adaptive maps; a speech recogniser writes with
/// `vocabulary`, which others need not have.
std::vector<SoundMap> sound_maps(const LoadedModel& model, const AudioProcessor& processor,
                                 const CtcVocabulary* vocabulary, const Dataset& dataset,
                                 double budget, int64_t count, uint64_t seed);

/// Whether tokens of the model's texts differ in the steps, blocks or MLPs that they run.
bool has_text_maps(const LoadedModel& model);
/// Maps of `count` random texts of the dataset. Throws Error when a model has none.
std::vector<TextMap> text_maps(const LoadedModel& model, const Tokenizer& tokenizer,
                               const Dataset& dataset, double budget, int64_t count, uint64_t seed);

/// Up to `most` texts, spread evenly over the dataset, for each number of blocks that `result` has
/// examples of, from the fewest on. `labels` are the model's, `indices` the examples' places.
std::vector<TextExample> text_examples(const Result& result, const std::vector<int64_t>& indices,
                                       const Dataset& dataset,
                                       const std::vector<std::string>& labels, size_t most);

/// One self-contained HTML page: inline style and SVG, pictures embedded, no scripts.
std::string render_report(const Report& report);
/// Writes it atomically.
void write_report(const fs::path& target, const Report& report);

}  // namespace pace
