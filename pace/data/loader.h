#pragma once

#include <torch/torch.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pace/data/dataset.h"
#include "pace/data/image_processor.h"

namespace pace {

/// Random changes to a training picture and to a batch, with the usual defaults off.
struct Augmentation {
  int64_t crop_padding = 0;  ///< random crop after padding each side by this many (mean-coloured) pixels
  double scale_min = 1.0;    ///< random resized crop: least share of the area (1 = off)
  bool flip = false;         ///< horizontal, with probability 1/2
  double mixup = 0.0;        ///< alpha of the Beta distribution (Zhang et al. 2018), 0 = off
  double cutmix = 0.0;       ///< alpha (Yun et al. 2019); with both on, one of them per batch at random
  double smoothing = 0.0;    ///< label smoothing in [0, 1)
};

struct Batch {
  at::Tensor pixels;   ///< float [batch, channels, height, width]
  at::Tensor labels;   ///< int64 [batch]
  at::Tensor targets;  ///< float [batch, classes]: labels after smoothing and mixing
  std::vector<int64_t> indices;  ///< of the examples in the dataset
};

struct LoaderOptions {
  int64_t batch = 64;
  int threads = 2;
  bool shuffle = false;   ///< a new order each epoch
  bool drop_last = false; ///< leave out an incomplete last batch
  bool skip_broken = false;
  uint64_t seed = 0;
  Augmentation augment;
};

/// Batches prepared ahead by threads, in an order and with random changes that depend only on (seed,
/// epoch, position): starting an epoch at batch b gives the same batches as running up to b.
class Loader {
 public:
  Loader(std::shared_ptr<const Dataset> dataset, const ImageProcessor& processor, LoaderOptions options,
         Reporter& reporter = quiet());
  ~Loader();

  int64_t batches() const;  ///< per epoch
  const Dataset& dataset() const;
  /// Goes to batch `first` of `epoch`.
  void start(int64_t epoch, int64_t first = 0);
  /// The next batch, or nothing at the end of the epoch. Broken pictures are left out of their batch with
  /// skip_broken (each is reported once), otherwise Error names all broken pictures of the dataset.
  std::optional<Batch> next();
  /// Pictures left out so far.
  int64_t broken() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pace
