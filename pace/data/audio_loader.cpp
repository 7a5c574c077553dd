#include "pace/data/audio_loader.h"

#include <algorithm>

#include "pace/base/error.h"

namespace pace {

AudioLoader::AudioLoader(std::shared_ptr<const Dataset> dataset, const AudioProcessor& processor,
                         LoaderOptions options)
    : dataset_(std::move(dataset)), processor_(processor), options_(std::move(options)) {
  check(options_, dataset_->size());
}

void AudioLoader::start(int64_t epoch, int64_t first) {
  check_start(epoch, first, batches());
  order_ = epoch_order(dataset_->size(), options_, epoch);
  next_ = first;
}

std::optional<Batch> AudioLoader::next() {
  if (order_.empty()) start(0);
  while (next_ < batches()) {
    const int64_t begin = next_++ * options_.batch;
    Batch batch = read(begin, std::min(begin + options_.batch, dataset_->size()));
    if (!batch.indices.empty()) return batch;
  }
  return std::nullopt;
}

Batch AudioLoader::read(int64_t begin, int64_t end) {
  Batch batch;
  std::vector<at::Tensor> sounds;
  std::vector<int64_t> labels;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t index = order_[static_cast<size_t>(i)];
    try {
      sounds.push_back(processor_.fit(dataset_->audio(index)));
    } catch (const Error& error) {
      if (!options_.skip_broken) fail("{}: {}", dataset_->name(index), error.what());
      broken_.insert(index);
      continue;
    }
    batch.indices.push_back(index);
    labels.push_back(dataset_->label(index));
  }
  if (sounds.empty()) return batch;
  batch.inputs = processor_(at::stack(sounds));
  batch.labels = at::tensor(labels, at::kLong);
  batch.targets =
      smooth_targets(batch.labels, std::ssize(dataset_->classes()), options_.augment.smoothing);
  return batch;
}

}  // namespace pace
