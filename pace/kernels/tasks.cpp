#include "pace/kernels/tasks.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace pace::kernels {

void run_tasks(int64_t count, int64_t floats,
               const std::function<void(int64_t task, float* scratch)>& task) {
  constexpr int64_t kCacheLine = 64;
  std::atomic<int64_t> next{0};
  const auto work = [&](int64_t, int64_t) {
    const at::Tensor memory = at::empty({floats + kCacheLine / 4});
    const auto address = reinterpret_cast<uintptr_t>(memory.data_ptr());
    auto* scratch = reinterpret_cast<float*>((address + kCacheLine - 1) & ~(kCacheLine - 1));
    for (int64_t i = next++; i < count; i = next++) task(i, scratch);
  };
  at::parallel_for(0, std::min<int64_t>(at::get_num_threads(), count), 1, work);
}

}  // namespace pace::kernels
