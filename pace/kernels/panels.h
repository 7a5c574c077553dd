#pragma once

#include <ATen/ATen.h>

#include "pace/kernels/cpu.h"

namespace pace::kernels {

using at::Tensor;

int64_t round_up(int64_t value, int64_t multiple);

/// weight [columns, depth] as the CPU kernels read it, in panels of `width` columns: [panels,
/// words, width, pack], where a word is four bytes, one float32 or (pack 2) two bfloat16, and words
/// are a multiple of `step`, with zeros where the sizes do not fit.
Tensor pack_panels(const Tensor& weight, int64_t width, int64_t pack, int64_t step = 1);
/// As its products read them.
Tensor pack_panels(const Tensor& weight, const CpuKernels& kernels);

/// bias [columns] float32 with zeros up to whole panels; zeros when undefined.
Tensor pad_columns(const Tensor& bias, int64_t columns, int64_t width);

}  // namespace pace::kernels
