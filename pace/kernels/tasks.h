#pragma once

#include <cstdint>
#include <functional>

namespace pace::kernels {

/// Calls task(i, scratch) once for every i in [0, count), on LibTorch's threads; a thread that is
/// done takes the next one. `scratch` is its thread's own, `floats` long, aligned to 64 bytes and
/// not cleared.
void run_tasks(int64_t count, int64_t floats,
               const std::function<void(int64_t task, float* scratch)>& task);

}  // namespace pace::kernels
