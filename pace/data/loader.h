#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <vector>

#include "pace/data/augment.h"
#include "pace/data/ctc.h"
#include "pace/data/dataset.h"

namespace pace {

struct Batch {
  /// As models take them: pictures float [batch, channels, height, width], texts int64 [batch,
  /// longest, 2], the number and the type of each token, -1 after the end of a text, sounds float
  /// [batch, frames, features] or [batch, longest], NaN after the end of a sound.
  at::Tensor inputs = {};
  /// int64 [batch]; of data without classes [batch, longest], the token after each one, -1 where a
  /// text ends.
  at::Tensor labels = {};
  /// float [batch, classes]: labels after smoothing and mixing; undefined without classes.
  at::Tensor targets = {};
  std::vector<int64_t> indices = {};  ///< of the examples in the dataset
  /// Of sounds with what is said in them, whose labels are its tokens for that, [batch, longest],
  /// and do not stand beside the answers; otherwise null.
  std::shared_ptr<const CtcVocabulary> vocabulary = {};
  std::vector<std::string> said = {};  ///< of those sounds: what is said, as it would be written
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

/// Batches in an order and with random changes that depend only on (seed, epoch, position):
/// starting an epoch at batch b gives the same batches as running up to b. Not to be used from
/// several threads at once.
class Loader {
 public:
  virtual ~Loader() = default;
  virtual int64_t batches() const = 0;  ///< per epoch
  virtual const Dataset& dataset() const = 0;
  /// Goes to batch `first` of `epoch`.
  virtual void start(int64_t epoch, int64_t first = 0) = 0;
  /// The next batch, or nothing at the end of the epoch. Throws Error for examples that cannot be
  /// read, unless they were to be left out.
  virtual std::optional<Batch> next() = 0;
  /// Different examples left out so far.
  virtual int64_t broken() const = 0;
};

/// The examples in the order of an epoch.
std::vector<int64_t> epoch_order(int64_t examples, const LoaderOptions& options, int64_t epoch);
/// How many batches that makes.
int64_t batches_of(int64_t examples, const LoaderOptions& options);
/// Throws Error unless `first` is in 0..batches and the epoch is none before the first.
void check_start(int64_t epoch, int64_t first, int64_t batches);
/// Throws Error when options make no sense for so many examples.
void check(const LoaderOptions& options, int64_t examples);

}  // namespace pace
