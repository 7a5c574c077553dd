#pragma once

#include <memory>
#include <optional>
#include <string>

#include "pace/cli/options.h"
#include "pace/data/audio_processor.h"
#include "pace/data/ctc.h"
#include "pace/data/image_processor.h"
#include "pace/data/tokenizer.h"
#include "pace/models/factory.h"
#include "pace/train/finetune.h"

namespace pace::cli {

/// Of a sound that may be of any length, where nobody says how long.
inline constexpr int64_t kHeardSeconds = 10;

/// A data set as a training run sees it.
struct TrainingData {
  std::shared_ptr<const Dataset> training;
  std::shared_ptr<const Dataset> held_out;  ///< null when nothing is held out
};

/// How many examples are held out: `count`, or when that is negative 1000 or one of `part`,
/// whichever is less.
struct HeldOut {
  int64_t count = -1, part = 20;
};

/// The examples that a model takes: for a language model, documents become sequences of tokens.
/// Throws Error when they are to be longer than the model's context.
std::shared_ptr<const Dataset> examples_for(const LoadedModel& model, const std::string& folder,
                                            std::shared_ptr<const Dataset> dataset,
                                            const DataOptions& options);

/// Holds out examples chosen by `seed`, and only then applies the limit, so that runs of any limit
/// hold out the same.
TrainingData divide(std::shared_ptr<const Dataset> dataset, int64_t limit, HeldOut held_out,
                    uint64_t seed);

/// The examples with their classes matched to the model's labels by name, whatever their order;
/// when the names are foreign but as many as the labels, they are taken to be in the same order,
/// with a warning. Throws Error when they cannot be matched.
std::shared_ptr<const Dataset> labelled_for(const LoadedModel& model,
                                            std::shared_ptr<const Dataset> dataset,
                                            const DataOptions& options, Reporter& reporter);

/// The data to evaluate a model on: opened, limited and labelled for it.
std::shared_ptr<const Dataset> open_data_for(const LoadedModel& model, const std::string& folder,
                                             const DataOptions& options, Reporter& reporter);

/// The folder's model. Throws Error when it is adaptive; `purpose` says who needs a dense one.
LoadedModel load_dense(const std::string& folder, const std::string& purpose);

/// How the model wants its pictures or sounds prepared. Throws Error when its folder did not say.
ImageProcessor image_processor_of(const LoadedModel& model, const std::string& folder);
AudioProcessor audio_processor_of(const LoadedModel& model, const std::string& folder);
int64_t channels_of(const json& config);
/// How texts become tokens of the model. Throws Error when the folder has no tokeniser, or one with
/// more tokens than the model knows.
std::shared_ptr<const Tokenizer> tokenizer_of(const LoadedModel& model, const std::string& folder);
/// What a speech recogniser writes with; null for models that tell classes apart. Throws Error when
/// the folder does not say.
std::shared_ptr<const CtcVocabulary> ctc_vocabulary_of(const LoadedModel& model,
                                                       const std::string& folder);
/// A loader of what the model takes, prepared as its folder says.
std::unique_ptr<Loader> make_loader(const LoadedModel& model, const std::string& folder,
                                    std::shared_ptr<const Dataset> dataset,
                                    const LoaderOptions& options, Reporter& reporter);
/// Of one picture, [1, channels, height, width], or sound, [1, frames, features] or the samples of
/// ten seconds, as it comes out of the processor.
std::vector<int64_t> input_shape(const LoadedModel& model, const std::string& folder);

/// The last part of a folder's path: what to call the model in it.
std::string folder_name(const std::string& folder);

/// A JSON file. Throws Error naming it.
json read_json(const std::string& path);

/// The output folder of a training run: `OUT.partial` with a record of the options in
/// `training.json`, renamed to `OUT` by commit. A run that fails before its first checkpoint leaves
/// nothing behind.
class TrainingRun {
 public:
  static constexpr const char* kRecord = "training.json";

  /// Throws Error as RunFolder does, and when a resumed run began with options that lead to
  /// another result.
  TrainingRun(const RunOptions& options, const std::string& command, const CLI::App& app);
  ~TrainingRun();

  const fs::path& path() const { return folder_.path(); }
  /// What the run was and, once finished, what came out of it.
  const json& record() const { return record_; }
  /// Adds the results to the record and gives the folder its name.
  void commit(const json& results);

 private:
  void check_same_options(const json& begun) const;

  RunFolder folder_;
  json record_;
  bool committed_ = false;
};

/// What a run's options say of a training; a `head_rate` of 0 is that of the backbone.
FinetuneOptions with_run(FinetuneOptions options, double head_rate, const RunOptions& run);

/// A loader for training on the data: shuffled, augmented, batches full where there are enough.
LoaderOptions training_loader(const DataOptions& data, const RunOptions& run, int64_t examples);

}  // namespace pace::cli
