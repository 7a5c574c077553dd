#pragma once

#include <ATen/ATen.h>

namespace pace::kernels {

using at::Tensor;

/// Where scores - charges is greatest in each row, the first of equals. scores [rows, choices]
/// float32, charges [choices] float32 on the CPU -> int64 [rows] on the device of the scores.
Tensor best_choice(const Tensor& scores, const Tensor& charges);

}  // namespace pace::kernels
