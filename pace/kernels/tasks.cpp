#include "pace/kernels/tasks.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace pace::kernels {

namespace {

/// Tasks that are taken one after another, on a cache line of their own.
struct alignas(64) Queue {
  std::atomic<int64_t> next;
  int64_t end, step;
};

std::vector<Queue> make_queues(int64_t count, int64_t threads, Sharing sharing) {
  // Taking tasks waits until all that was written before has left the processor, so several are
  // taken at a time where there are many.
  constexpr int64_t kTimes = 16;
  const bool by_place = sharing == Sharing::kByPlace;
  const int64_t number = by_place ? threads : 1;
  std::vector<Queue> queues(static_cast<size_t>(number));
  for (int64_t i = 0; i < number; ++i) {
    Queue& queue = queues[static_cast<size_t>(i)];
    const int64_t begin = count * i / number;
    queue.next = begin;
    queue.end = count * (i + 1) / number;
    queue.step = by_place ? std::max<int64_t>(1, (queue.end - begin) / kTimes) : 1;
  }
  return queues;
}

}  // namespace

void run_tasks(int64_t count, int64_t floats,
               const std::function<void(int64_t task, float* scratch)>& task, Sharing sharing) {
  constexpr int64_t kCacheLine = 64;
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), count);
  std::vector<Queue> queues = make_queues(count, threads, sharing);
  at::parallel_for(0, threads, 1, [&](int64_t thread, int64_t) {
    const at::Tensor memory = at::empty({floats + kCacheLine / 4});
    const auto address = reinterpret_cast<uintptr_t>(memory.data_ptr());
    auto* scratch = reinterpret_cast<float*>((address + kCacheLine - 1) & ~(kCacheLine - 1));
    for (size_t i = 0; i < queues.size(); ++i) {
      Queue& queue = queues[(static_cast<size_t>(thread) + i) % queues.size()];
      for (int64_t first = queue.next.fetch_add(queue.step); first < queue.end;
           first = queue.next.fetch_add(queue.step)) {
        for (int64_t t = first; t < std::min(first + queue.step, queue.end); ++t) task(t, scratch);
      }
    }
  });
}

}  // namespace pace::kernels
