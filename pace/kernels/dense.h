#pragma once

#include <ATen/ATen.h>

#include "pace/kernels/context.h"
#include "pace/kernels/cpu.h"

namespace pace::kernels {

using at::Tensor;

/// Whether pace's own kernels, which record no gradients, may run on `x`: float32 on the CPU, with
/// nothing to differentiate and no autocast.
bool runs_own_kernels(const Tensor& x);

/// x [rows, columns] with the numbers of a row side by side, whatever lies between the rows.
Tensor with_dense_rows(const Tensor& x);

Tensor activate(const Tensor& x, Activation activation);

/// x [..., in] * weight [out, in]^T + bias [out] (bias may be undefined) -> [..., out].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Context& context);

/// Non-overlapping patches: pixels [batch, channels, height, width] -> [batch,
/// (height/patch)*(width/patch), channels*patch*patch], rows of patches first. A convolution whose
/// stride is its kernel is one matrix product over them.
Tensor cut_patches(const Tensor& pixels, int64_t patch);

}  // namespace pace::kernels
