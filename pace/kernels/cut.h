#pragma once

#include <cstdint>

#include "pace/kernels/cpu.h"

namespace pace::kernels {

/// How a product is cut into tasks of equal size, as many for each thread.
struct Cut {
  int64_t height, row_blocks;    ///< rows of a task
  int64_t panels, panel_groups;  ///< output panels of a task
};

/// For so many rows and panels, and work in MACs.
Cut cut_product(int64_t rows, int64_t panels, int64_t work, const CpuKernels& kernels);

}  // namespace pace::kernels
