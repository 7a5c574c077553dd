#pragma once

#include <cstdint>
#include <functional>

namespace pace::kernels {

/// Which thread does which tasks.
enum class Sharing {
  /// Each begins with its own part, the same in every call of that count, so that what one wrote is
  /// still in its cache; one that is done helps the others.
  kByPlace,
  kInOrder,  ///< each takes the next one: for tasks of which the longest are first
};

/// Calls task(i, scratch) once for every i in [0, count), on LibTorch's threads. `scratch` is its
/// thread's own, `floats` long, aligned to 64 bytes and not cleared.
void run_tasks(int64_t count, int64_t floats,
               const std::function<void(int64_t task, float* scratch)>& task,
               Sharing sharing = Sharing::kByPlace);

}  // namespace pace::kernels
