#include "pace/kernels/tasks.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace pace::kernels {

namespace {

/// Tasks that one thread begins with, on a cache line of their own.
struct alignas(64) Share {
  std::atomic<int64_t> next;
  int64_t end, step;
};

}  // namespace

void run_tasks(int64_t count, int64_t floats,
               const std::function<void(int64_t task, float* scratch)>& task) {
  constexpr int64_t kCacheLine = 64;
  // Taking tasks waits until all that was written before has left the processor, so several are
  // taken at a time.
  constexpr int64_t kTimes = 16;
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), count);
  std::vector<Share> shares(static_cast<size_t>(threads));
  for (int64_t t = 0; t < threads; ++t) {
    Share& share = shares[static_cast<size_t>(t)];
    share.next = count * t / threads;
    share.end = count * (t + 1) / threads;
    share.step = std::max<int64_t>(1, (share.end - share.next) / kTimes);
  }
  at::parallel_for(0, threads, 1, [&](int64_t thread, int64_t) {
    const at::Tensor memory = at::empty({floats + kCacheLine / 4});
    const auto address = reinterpret_cast<uintptr_t>(memory.data_ptr());
    auto* scratch = reinterpret_cast<float*>((address + kCacheLine - 1) & ~(kCacheLine - 1));
    for (int64_t t = 0; t < threads; ++t) {
      Share& share = shares[static_cast<size_t>((thread + t) % threads)];
      for (int64_t first = share.next.fetch_add(share.step); first < share.end;
           first = share.next.fetch_add(share.step)) {
        for (int64_t i = first; i < std::min(first + share.step, share.end); ++i) task(i, scratch);
      }
    }
  });
}

}  // namespace pace::kernels
