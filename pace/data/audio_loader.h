#pragma once

#include <memory>
#include <set>

#include "pace/data/audio_processor.h"
#include "pace/data/ctc.h"
#include "pace/data/loader.h"

namespace pace {

/// float [sounds, longest]: waveforms [samples], NaN after the end of each.
at::Tensor pad_sounds(const std::vector<at::Tensor>& sounds);

/// Batches of sounds' features, or of waveforms of different lengths, read as they are asked for.
/// Sounds that cannot be read, or whose transcripts cannot be written, are left out with
/// skip_broken (each is reported once), otherwise Error names the first.
class AudioLoader : public Loader {
 public:
  /// The sounds of a dataset without classes are labelled with the tokens of what is said in them,
  /// the dataset's text, by `vocabulary`: int64 [batch, longest], -1 where a transcript has ended.
  AudioLoader(std::shared_ptr<const Dataset> dataset, const AudioProcessor& processor,
              LoaderOptions options, std::shared_ptr<const CtcVocabulary> vocabulary = nullptr,
              Reporter& reporter = quiet());

  int64_t batches() const override { return batches_of(dataset_->size(), options_); }
  const Dataset& dataset() const override { return *dataset_; }
  void start(int64_t epoch, int64_t first = 0) override;
  /// A batch of which nothing could be read is passed over.
  std::optional<Batch> next() override;
  int64_t broken() const override { return std::ssize(broken_); }

 private:
  /// What a batch is made of.
  struct Example;
  /// Those that can be read.
  std::vector<Example> read(int64_t begin, int64_t end);
  Example example(int64_t index) const;
  /// Warns, and throws Error when nothing is left.
  void leave_out(int64_t index, const std::string& why);
  /// Fitted, and changed at random.
  at::Tensor sound(int64_t index) const;
  void label(const std::vector<Example>& examples, Batch& batch) const;
  /// Waveforms of one length are mixed, if they are to be, before they become features.
  void set_inputs(const std::vector<Example>& examples, int64_t position, Batch& batch) const;

  std::shared_ptr<const Dataset> dataset_;
  AudioProcessor processor_;
  LoaderOptions options_;
  std::shared_ptr<const CtcVocabulary> vocabulary_;  ///< of datasets without classes
  Reporter& reporter_;
  std::vector<int64_t> order_;    ///< empty before the first epoch
  int64_t epoch_ = 0, next_ = 0;  ///< and batch of the epoch
  std::set<int64_t> broken_;      ///< examples
};

}  // namespace pace
