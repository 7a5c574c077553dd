#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pace/data/augment.h"
#include "pace/data/dataset.h"
#include "pace/data/image_processor.h"

namespace pace {

struct Batch {
  at::Tensor pixels;             ///< float [batch, channels, height, width]
  at::Tensor labels;             ///< int64 [batch]
  at::Tensor targets;            ///< float [batch, classes]: labels after smoothing and mixing
  std::vector<int64_t> indices;  ///< of the examples in the dataset
};

struct LoaderOptions {
  int64_t batch = 64;
  int threads = 2;
  bool shuffle = false;    ///< a new order each epoch
  bool drop_last = false;  ///< leave out an incomplete last batch
  bool skip_broken = false;
  uint64_t seed = 0;
  /// Up to this many bytes of decoded pictures stay in memory, so that later epochs need not read
  /// them again: fitted ones, or whole ones when random resized crops need them.
  int64_t cache_bytes = int64_t{1} << 30;
  Augmentation augment = {};
};

/// Batches prepared ahead by threads, in an order and with random changes that depend only on
/// (seed, epoch, position): starting an epoch at batch b gives the same batches as running up to b.
class Loader {
 public:
  Loader(std::shared_ptr<const Dataset> dataset, const ImageProcessor& processor,
         LoaderOptions options, Reporter& reporter = quiet());
  ~Loader();

  int64_t batches() const;  ///< per epoch
  const Dataset& dataset() const;
  /// Goes to batch `first` of `epoch`.
  void start(int64_t epoch, int64_t first = 0);
  /// The next batch, or nothing at the end of the epoch. Broken pictures are left out of their
  /// batch with skip_broken (each is reported once, and a batch of which nothing is left is passed
  /// over), otherwise Error names all broken pictures of the dataset. Not to be called from several
  /// threads at once.
  std::optional<Batch> next();
  /// Different pictures left out so far.
  int64_t broken() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pace
