#pragma once

#include <cstdint>

#include "pace/kernels/cpu.h"

namespace pace::kernels {

/// All of a product, rows times packed panels, on LibTorch's threads.
void run_product(const ProductCall& call, int64_t rows, int64_t panels, const CpuKernels& kernels);

}  // namespace pace::kernels
