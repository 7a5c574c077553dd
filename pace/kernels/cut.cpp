#include "pace/kernels/cut.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "pace/kernels/panels.h"

namespace pace::kernels {

Cut cut_product(int64_t rows, int64_t panels, int64_t work, const CpuKernels& kernels) {
  constexpr int64_t kWorthATask = 1 << 17, kTasksPerThread = 4;
  const int64_t threads = at::get_num_threads();
  int64_t blocks = (rows + kernels.most_rows - 1) / kernels.most_rows;
  if (rows >= kernels.tile * threads) blocks = round_up(blocks, threads);
  const int64_t wanted = std::clamp<int64_t>(work / kWorthATask, 1, kTasksPerThread * threads);
  const int64_t groups = std::min(panels, (wanted + blocks - 1) / blocks);
  const int64_t height = (rows + blocks - 1) / blocks, width = (panels + groups - 1) / groups;
  return {height, (rows + height - 1) / height, width, (panels + width - 1) / width};
}

}  // namespace pace::kernels
