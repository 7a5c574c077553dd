#include "pace/data/audio_loader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "pace/base/error.h"
#include "pace/base/random.h"

namespace pace {
namespace {

enum Purpose : uint64_t { kSound = 1, kMixing };

}  // namespace

at::Tensor pad_sounds(const std::vector<at::Tensor>& sounds) {
  return at::pad_sequence(sounds, /*batch_first=*/true, std::numeric_limits<double>::quiet_NaN());
}

AudioLoader::AudioLoader(std::shared_ptr<const Dataset> dataset, const AudioProcessor& processor,
                         LoaderOptions options, std::shared_ptr<const CtcVocabulary> vocabulary)
    : dataset_(std::move(dataset)),
      processor_(processor),
      options_(options),
      vocabulary_(std::move(vocabulary)) {
  check(options_, dataset_->size());
  if (dataset_->classes().empty() && !vocabulary_) {
    fail("sounds without classes need a vocabulary that their transcripts are written in");
  }
}

void AudioLoader::start(int64_t epoch, int64_t first) {
  check_start(epoch, first, batches());
  order_ = epoch_order(dataset_->size(), options_, epoch);
  epoch_ = epoch;
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
  for (int64_t i = begin; i < end; ++i) {
    const int64_t index = order_[static_cast<size_t>(i)];
    try {
      sounds.push_back(sound(index));
    } catch (const Error& error) {
      if (!options_.skip_broken) fail("{}: {}", dataset_->name(index), error.what());
      broken_.insert(index);
      continue;
    }
    batch.indices.push_back(index);
  }
  if (sounds.empty()) return batch;
  label(batch);
  set_inputs(sounds, begin / options_.batch, batch);
  return batch;
}

at::Tensor AudioLoader::sound(int64_t index) const {
  const at::Tensor samples = processor_.fit(dataset_->audio(index));
  if (options_.augment.shift == 0.0) return samples;
  auto random = random_for(
      {options_.seed, static_cast<uint64_t>(epoch_), kSound, static_cast<uint64_t>(index)});
  const double most = options_.augment.shift * static_cast<double>(processor_.rate());
  return shift(samples, std::llround(most), random);
}

void AudioLoader::set_inputs(const std::vector<at::Tensor>& sounds, int64_t position,
                             Batch& batch) const {
  if (processor_.feature() != AudioFeature::kWaveform) {
    auto random = random_for(
        {options_.seed, static_cast<uint64_t>(epoch_), kMixing, static_cast<uint64_t>(position)});
    std::tie(batch.inputs, batch.targets) =
        mix(at::stack(sounds), batch.targets, {.mixup = options_.augment.mixup}, random);
    batch.inputs = processor_(batch.inputs);
    return;
  }
  std::vector<at::Tensor> waveforms;
  for (const at::Tensor& sound : sounds) waveforms.push_back(processor_(sound));
  batch.inputs = pad_sounds(waveforms);
}

void AudioLoader::label(Batch& batch) const {
  if (!dataset_->classes().empty()) {
    std::vector<int64_t> labels;
    labels.reserve(batch.indices.size());
    for (const int64_t index : batch.indices) labels.push_back(dataset_->label(index));
    batch.labels = at::tensor(labels, at::kLong);
    batch.targets =
        smooth_targets(batch.labels, std::ssize(dataset_->classes()), options_.augment.smoothing);
    return;
  }
  std::vector<at::Tensor> transcripts;
  for (const int64_t index : batch.indices) {
    const std::vector<int64_t> tokens = vocabulary_->encode(dataset_->text(index).first);
    transcripts.push_back(at::tensor(tokens, at::kLong));
  }
  batch.labels = at::pad_sequence(transcripts, /*batch_first=*/true, -1);
  batch.vocabulary = vocabulary_;
}

}  // namespace pace
