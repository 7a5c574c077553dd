#pragma once

#include <cstdint>
#include <vector>

#include "pace/kernels/cpu.h"

namespace pace::kernels {

/// A product over so many rows.
struct Product {
  ProductCall call;
  int64_t rows = 0;
};

/// Products of as many packed panels each, all at a time on LibTorch's threads.
void run_products(const std::vector<Product>& products, int64_t panels, const CpuKernels& kernels);

}  // namespace pace::kernels
