#include "pace/data/picture_loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>

#include "pace/base/error.h"
#include "pace/base/random.h"

namespace pace {
namespace {

/// Keys that keep the draws for the pictures and the mixing of one epoch apart, and from the order.
enum Purpose : uint64_t { kPicture = 1, kMixing };

/// A picture the dataset could not read, with the dataset's message.
class BrokenPicture : public Error {
 public:
  using Error::Error;
};

/// Decoded pictures up to a number of bytes. Safe to use from several threads.
class PictureCache {
 public:
  PictureCache(int64_t pictures, int64_t bytes)
      : pictures_(static_cast<size_t>(pictures)), left_(bytes) {}

  /// Undefined when it is not there.
  Image find(int64_t index) {
    const std::lock_guard lock(mutex_);
    return pictures_[static_cast<size_t>(index)];
  }

  void keep(int64_t index, const Image& picture) {
    const auto bytes = static_cast<int64_t>(picture.nbytes());
    const std::lock_guard lock(mutex_);
    if (bytes > left_ || pictures_[static_cast<size_t>(index)].defined()) return;
    pictures_[static_cast<size_t>(index)] = picture;
    left_ -= bytes;
  }

 private:
  std::mutex mutex_;
  std::vector<Image> pictures_;
  int64_t left_;
};

/// A batch as a thread leaves it for next().
struct Prepared {
  Batch batch;
  std::map<int64_t, std::string> broken;  // index and message
  std::exception_ptr error;
};

}  // namespace

// Everything a thread runs below is plain loops over bytes and floats: ATen's operators would start
// an OpenMP team in each thread, against the threads that train.
struct PictureLoader::State {
  State(std::shared_ptr<const Dataset> data, const ImageProcessor& process, LoaderOptions opts,
        Reporter& report)
      : dataset(std::move(data)),
        processor(process),
        options(std::move(opts)),
        reporter(report),
        classes(static_cast<int64_t>(dataset->classes().size())),
        cache(dataset->size(), options.cache_bytes) {}

  int64_t batches() const;
  void start(int64_t to_epoch, int64_t first);
  void stop();
  void work(const std::stop_token& token);
  Prepared take();
  Prepared prepare(int64_t position, const std::stop_token& token);
  Batch assemble(int64_t position, const std::vector<int64_t>& indices,
                 const std::vector<Image>& pictures);
  Image picture(int64_t index);
  Image kept_or_read(int64_t index);
  void report(const std::map<int64_t, std::string>& pictures);

  const std::shared_ptr<const Dataset> dataset;
  const ImageProcessor processor;
  const LoaderOptions options;
  Reporter& reporter;
  const int64_t classes;
  PictureCache cache;
  std::set<int64_t> left_out;  // broken pictures already reported

  // The epoch at hand; constant while threads run.
  bool started = false;
  int64_t epoch = 0;
  std::vector<int64_t> order;

  std::mutex mutex;  // guards what follows
  std::condition_variable_any changed;
  int64_t next_to_prepare = 0, next_to_take = 0;
  std::map<int64_t, Prepared> ready;

  std::vector<std::jthread> threads;
};

int64_t PictureLoader::State::batches() const { return batches_of(dataset->size(), options); }

void PictureLoader::State::start(int64_t to_epoch, int64_t first) {
  check_start(to_epoch, first, batches());
  stop();
  started = true;
  epoch = to_epoch;
  order = epoch_order(dataset->size(), options, epoch);
  next_to_prepare = next_to_take = first;
  for (int i = 0; i < options.threads; ++i) {
    threads.emplace_back([this](const std::stop_token& token) { work(token); });
  }
}

/// Ends the threads and drops what they prepared; the epoch counts as finished.
void PictureLoader::State::stop() {
  for (auto& thread : threads) thread.request_stop();
  threads.clear();
  ready.clear();
  next_to_take = batches();
}

void PictureLoader::State::work(const std::stop_token& token) {
  // One batch per thread in the making and one more waiting keeps everyone busy.
  const int64_t ahead = options.threads + 1;
  const int64_t total = batches();
  while (true) {
    int64_t position = 0;
    {
      std::unique_lock lock(mutex);
      const bool room = changed.wait(lock, token, [&] {
        return next_to_prepare >= total || next_to_prepare < next_to_take + ahead;
      });
      if (!room || next_to_prepare >= total) return;
      position = next_to_prepare++;
    }
    Prepared prepared;
    try {
      prepared = prepare(position, token);
    } catch (...) {
      prepared.error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex);
      ready.emplace(position, std::move(prepared));
    }
    changed.notify_all();
  }
}

/// Waits for the next batch in order.
Prepared PictureLoader::State::take() {
  Prepared prepared;
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ready.contains(next_to_take); });
    prepared = std::move(ready.extract(next_to_take).mapped());
    ++next_to_take;
  }
  changed.notify_all();
  return prepared;
}

Prepared PictureLoader::State::prepare(int64_t position, const std::stop_token& token) {
  const int64_t begin = position * options.batch;
  const int64_t end = std::min(begin + options.batch, dataset->size());
  Prepared prepared;
  std::vector<int64_t> indices;
  std::vector<Image> pictures;
  for (int64_t i = begin; i < end && !token.stop_requested(); ++i) {
    const int64_t index = order[static_cast<size_t>(i)];
    try {
      pictures.push_back(picture(index));
      indices.push_back(index);
    } catch (const BrokenPicture& error) {
      prepared.broken[index] = error.what();
      if (!options.skip_broken) return prepared;  // next() will look for the others itself
    }
  }
  prepared.batch = assemble(position, indices, pictures);
  return prepared;
}

Batch PictureLoader::State::assemble(int64_t position, const std::vector<int64_t>& indices,
                                     const std::vector<Image>& pictures) {
  const auto count = static_cast<int64_t>(indices.size());
  const int64_t channels = processor.channels(), height = processor.height(),
                width = processor.width();
  Batch batch;
  batch.indices = indices;
  batch.inputs = at::empty({count, channels, height, width}, at::kFloat);
  batch.labels = at::empty({count}, at::kLong);
  float* pixels = batch.inputs.mutable_data_ptr<float>();
  for (size_t i = 0; i < indices.size(); ++i, pixels += channels * height * width) {
    processor.normalize_into(pictures[i], pixels);
    batch.labels.mutable_data_ptr<int64_t>()[i] = dataset->label(indices[i]);
  }
  batch.targets = smooth_targets(batch.labels, classes, options.augment.smoothing);
  auto random = random_for(
      {options.seed, static_cast<uint64_t>(epoch), kMixing, static_cast<uint64_t>(position)});
  std::tie(batch.inputs, batch.targets) = mix(batch.inputs, batch.targets, options.augment, random);
  return batch;
}

/// Fitted and changed at random.
Image PictureLoader::State::picture(int64_t index) {
  auto random = random_for(
      {options.seed, static_cast<uint64_t>(epoch), kPicture, static_cast<uint64_t>(index)});
  Image image = kept_or_read(index);
  if (options.augment.scale_min < 1.0) {
    image = random_resized_crop(image, processor, options.augment.scale_min, random);
  }
  return shift_and_flip(image, processor, options.augment, random);
}

/// As far as a picture is the same in every epoch: fitted, or whole where random resized crops
/// follow.
Image PictureLoader::State::kept_or_read(int64_t index) {
  Image image = cache.find(index);
  if (image.defined()) return image;
  try {
    image = dataset->image(index);
  } catch (const Error& error) {
    throw BrokenPicture(error.what());
  }
  try {
    if (options.augment.scale_min == 1.0) image = processor.fit(image);
  } catch (const Error& error) {
    fail("{}: {}", dataset->name(index), error.what());
  }
  cache.keep(index, image);
  return image;
}

/// Warns of each broken picture once.
void PictureLoader::State::report(const std::map<int64_t, std::string>& pictures) {
  for (const auto& [index, message] : pictures) {
    if (left_out.insert(index).second) reporter.warn(fmt::format("left out: {}", message));
  }
  if (static_cast<int64_t>(left_out.size()) == dataset->size()) {
    stop();
    fail("all {} pictures are broken, the last because: {}", dataset->size(),
         pictures.rbegin()->second);
  }
}

PictureLoader::PictureLoader(std::shared_ptr<const Dataset> dataset,
                             const ImageProcessor& processor, LoaderOptions options,
                             Reporter& reporter) {
  check(options, dataset->size());
  state_ = std::make_unique<State>(std::move(dataset), processor, std::move(options), reporter);
}

PictureLoader::~PictureLoader() { state_->stop(); }

int64_t PictureLoader::batches() const { return state_->batches(); }

const Dataset& PictureLoader::dataset() const { return *state_->dataset; }

void PictureLoader::start(int64_t epoch, int64_t first) { state_->start(epoch, first); }

std::optional<Batch> PictureLoader::next() {
  if (!state_->started) state_->start(0, 0);
  while (state_->next_to_take < state_->batches()) {
    Prepared prepared = state_->take();
    if (prepared.error) {
      state_->stop();
      std::rethrow_exception(prepared.error);
    }
    if (!prepared.broken.empty()) {
      if (!state_->options.skip_broken) {
        state_->stop();
        report_broken(*state_->dataset, state_->options.threads, state_->reporter);
      }
      state_->report(prepared.broken);
    }
    if (!prepared.batch.indices.empty()) return std::move(prepared.batch);
  }
  return std::nullopt;
}

int64_t PictureLoader::broken() const { return static_cast<int64_t>(state_->left_out.size()); }

}  // namespace pace
