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
                         LoaderOptions options, std::shared_ptr<const CtcVocabulary> vocabulary,
                         Reporter& reporter)
    : dataset_(std::move(dataset)),
      processor_(processor),
      options_(options),
      vocabulary_(std::move(vocabulary)),
      reporter_(reporter) {
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

struct AudioLoader::Example {
  int64_t index = 0;
  at::Tensor sound;
  std::string said;             ///< of datasets without classes
  std::vector<int64_t> tokens;  ///< of that
};

std::optional<Batch> AudioLoader::next() {
  if (order_.empty()) start(0);
  while (next_ < batches()) {
    const int64_t position = next_++, begin = position * options_.batch;
    const auto examples = read(begin, std::min(begin + options_.batch, dataset_->size()));
    if (examples.empty()) continue;
    Batch batch;
    for (const Example& example : examples) batch.indices.push_back(example.index);
    label(examples, batch);
    set_inputs(examples, position, batch);
    return batch;
  }
  return std::nullopt;
}

std::vector<AudioLoader::Example> AudioLoader::read(int64_t begin, int64_t end) {
  std::vector<Example> examples;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t index = order_[static_cast<size_t>(i)];
    try {
      examples.push_back(example(index));
    } catch (const Error& error) {
      leave_out(index, fmt::format("{}: {}", dataset_->name(index), error.what()));
    }
  }
  return examples;
}

AudioLoader::Example AudioLoader::example(int64_t index) const {
  Example made{index, sound(index), {}, {}};
  if (!vocabulary_) return made;
  const std::string transcript = dataset_->text(index).first;
  made.said = vocabulary_->spelled(transcript);
  made.tokens = vocabulary_->encode(transcript);
  return made;
}

void AudioLoader::leave_out(int64_t index, const std::string& why) {
  if (!options_.skip_broken) fail("{}", why);
  if (broken_.insert(index).second) reporter_.warn(fmt::format("left out: {}", why));
  if (broken() == dataset_->size()) {
    fail("all {} sounds are broken, the last because: {}", dataset_->size(), why);
  }
}

at::Tensor AudioLoader::sound(int64_t index) const {
  const Augmentation& augment = options_.augment;
  auto random = random_for(
      {options_.seed, static_cast<uint64_t>(epoch_), kSound, static_cast<uint64_t>(index)});
  Audio audio = dataset_->audio(index);
  if (augment.speed > 0.0) {
    const Audio changed = change_speed(audio, augment.speed, random);
    // One that would become too short stays as it is.
    const int64_t length = changed.samples.numel() * processor_.rate() / changed.rate;
    if (length > processor_.shortest()) audio = changed;
  }
  const at::Tensor samples = processor_.fit(audio);
  if (augment.shift == 0.0) return samples;
  const double most = augment.shift * static_cast<double>(processor_.rate());
  return shift(samples, std::llround(most), random);
}

void AudioLoader::set_inputs(const std::vector<Example>& examples, int64_t position,
                             Batch& batch) const {
  std::vector<at::Tensor> sounds;
  if (processor_.feature() == AudioFeature::kWaveform) {
    for (const Example& example : examples) sounds.push_back(processor_(example.sound));
    batch.inputs = pad_sounds(sounds);
    return;
  }
  for (const Example& example : examples) sounds.push_back(example.sound);
  auto random = random_for(
      {options_.seed, static_cast<uint64_t>(epoch_), kMixing, static_cast<uint64_t>(position)});
  std::tie(batch.inputs, batch.targets) =
      mix(at::stack(sounds), batch.targets, {.mixup = options_.augment.mixup}, random);
  batch.inputs = processor_(batch.inputs);
}

void AudioLoader::label(const std::vector<Example>& examples, Batch& batch) const {
  if (vocabulary_) {
    std::vector<at::Tensor> tokens;
    for (const Example& example : examples) {
      tokens.push_back(at::tensor(example.tokens, at::kLong));
      batch.said.push_back(example.said);
    }
    batch.labels = at::pad_sequence(tokens, /*batch_first=*/true, -1);
    batch.vocabulary = vocabulary_;
    return;
  }
  std::vector<int64_t> labels;
  labels.reserve(examples.size());
  for (const Example& example : examples) labels.push_back(dataset_->label(example.index));
  batch.labels = at::tensor(labels, at::kLong);
  batch.targets =
      smooth_targets(batch.labels, std::ssize(dataset_->classes()), options_.augment.smoothing);
}

}  // namespace pace
