#pragma once

#include <cstdint>
#include <functional>

namespace pace::kernels {

/// Calls task(i, scratch) once for every i in [0, count), on LibTorch's threads. Each thread begins
/// with its share of them, the same in every call of that count, so that what one wrote is still in
/// its cache; one that is done helps the others. `scratch` is its thread's own, `floats` long,
/// aligned to 64 bytes and not cleared.
void run_tasks(int64_t count, int64_t floats,
               const std::function<void(int64_t task, float* scratch)>& task);

}  // namespace pace::kernels
