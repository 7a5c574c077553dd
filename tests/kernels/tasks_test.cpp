#include "pace/kernels/tasks.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace pace::kernels {
namespace {

TEST(Tasks, EachRunsOnceWithAScratchOfItsThread) {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 3, 5}) {
    at::set_num_threads(threads);
    for (const Sharing sharing : {Sharing::kByPlace, Sharing::kInOrder}) {
      for (const int64_t count : {0, 1, 2, 3, 17, 1000}) {
        std::vector<std::atomic<int>> ran(static_cast<size_t>(count));
        std::atomic<int> spoilt = 0;
        const auto task = [&](int64_t i, float* scratch) {
          EXPECT_EQ(reinterpret_cast<uintptr_t>(scratch) % 64, 0u);
          const auto mine = static_cast<float>(i);
          for (int j = 0; j < 100; ++j) scratch[j] = mine;
          for (int j = 0; j < 100; ++j) spoilt += scratch[j] != mine;
          ++ran[static_cast<size_t>(i)];
        };
        run_tasks(count, 100, task, sharing);
        for (const std::atomic<int>& times : ran) EXPECT_EQ(times, 1);
        EXPECT_EQ(spoilt, 0);
      }
    }
  }
  at::set_num_threads(before);
}

}  // namespace
}  // namespace pace::kernels
