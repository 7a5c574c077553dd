#include "pace/kernels/product.h"

#include <algorithm>

#include "pace/kernels/cut.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

void run_products(const std::vector<Product>& products, int64_t panels, const CpuKernels& kernels) {
  std::vector<Cut> cuts;
  std::vector<int64_t> begins{0};  // first task of each product, and the end of the last
  int64_t floats = 0;
  for (const auto& [call, rows] : products) {
    // Few rows take as long as their weights take to be read.
    const int64_t work = std::max<int64_t>(rows, 8) * call.in * call.out_width;
    const Cut& cut = cuts.emplace_back(cut_product(rows, panels, work, kernels));
    begins.push_back(begins.back() + cut.row_blocks * cut.panel_groups);
    floats = std::max(floats, kernels.product_scratch(call, cut.height));
  }
  run_tasks(begins.back(), floats, [&](int64_t task, float* scratch) {
    const auto next = std::upper_bound(begins.begin(), begins.end(), task);
    const auto which = static_cast<size_t>(next - begins.begin() - 1);
    const auto& [call, rows] = products[which];
    const Cut& cut = cuts[which];
    const int64_t own = task - begins[which];
    // Tasks that follow each other share their weights.
    const int64_t row = own % cut.row_blocks * cut.height;
    const int64_t panel = own / cut.row_blocks * cut.panels;
    kernels.product(call, row, std::min(cut.height, rows - row), panel,
                    std::min(cut.panels, panels - panel), scratch);
  });
}

}  // namespace pace::kernels
