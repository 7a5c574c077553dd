#include "pace/data/loader.h"

#include <algorithm>
#include <numeric>

#include "pace/base/error.h"
#include "pace/base/random.h"

namespace pace {

std::vector<int64_t> epoch_order(int64_t examples, const LoaderOptions& options, int64_t epoch) {
  constexpr uint64_t kOrder = 0;
  std::vector<int64_t> order(static_cast<size_t>(examples));
  std::iota(order.begin(), order.end(), 0);
  if (options.shuffle) {
    auto random = random_for({options.seed, static_cast<uint64_t>(epoch), kOrder});
    std::shuffle(order.begin(), order.end(), random);
  }
  return order;
}

int64_t batches_of(int64_t examples, const LoaderOptions& options) {
  return options.drop_last ? examples / options.batch
                           : (examples + options.batch - 1) / options.batch;
}

void check_start(int64_t epoch, int64_t first, int64_t batches) {
  if (epoch >= 0 && first >= 0 && first <= batches) return;
  fail("cannot start at batch {} of epoch {}: there are {} batches in an epoch", first, epoch,
       batches);
}

void check(const LoaderOptions& options, int64_t examples) {
  if (options.batch < 1) fail("the batch is {}; it must be at least 1 example", options.batch);
  if (options.threads < 1) fail("{} loader threads; at least 1 is needed", options.threads);
  check(options.augment);
  if (options.drop_last && examples < options.batch) {
    fail("{} examples do not fill one batch of {}; use a smaller batch", examples, options.batch);
  }
}

}  // namespace pace
