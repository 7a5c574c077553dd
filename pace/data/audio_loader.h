#pragma once

#include <memory>
#include <set>

#include "pace/data/audio_processor.h"
#include "pace/data/loader.h"

namespace pace {

/// Batches of sounds' features, read as they are asked for. Sounds that cannot be read are left out
/// with skip_broken, otherwise Error names the first.
class AudioLoader : public Loader {
 public:
  AudioLoader(std::shared_ptr<const Dataset> dataset, const AudioProcessor& processor,
              LoaderOptions options);

  int64_t batches() const override { return batches_of(dataset_->size(), options_); }
  const Dataset& dataset() const override { return *dataset_; }
  void start(int64_t epoch, int64_t first = 0) override;
  /// A batch of which nothing could be read is passed over.
  std::optional<Batch> next() override;
  int64_t broken() const override { return std::ssize(broken_); }

 private:
  /// The batch without what cannot be read.
  Batch read(int64_t begin, int64_t end);

  std::shared_ptr<const Dataset> dataset_;
  AudioProcessor processor_;
  LoaderOptions options_;
  std::vector<int64_t> order_;  ///< empty before the first epoch
  int64_t next_ = 0;            ///< batch of the epoch
  std::set<int64_t> broken_;    ///< examples
};

}  // namespace pace
