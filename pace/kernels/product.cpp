#include "pace/kernels/product.h"

#include <algorithm>

#include "pace/kernels/cut.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

void run_product(const ProductCall& call, int64_t rows, int64_t panels, const CpuKernels& kernels) {
  // Few rows take as long as their weights take to be read.
  const int64_t work = std::max<int64_t>(rows, 8) * call.in * call.out_width;
  const Cut cut = cut_product(rows, panels, work, kernels);
  run_tasks(cut.row_blocks * cut.panel_groups, kernels.product_scratch(call, cut.height),
            [&](int64_t task, float* scratch) {
              // Tasks that follow each other share their weights.
              const int64_t row = task % cut.row_blocks * cut.height;
              const int64_t panel = task / cut.row_blocks * cut.panels;
              kernels.product(call, row, std::min(cut.height, rows - row), panel,
                              std::min(cut.panels, panels - panel), scratch);
            });
}

}  // namespace pace::kernels
