#pragma once

#include <ATen/ATen.h>

#include "pace/kernels/macs.h"

namespace pace::kernels {

using at::Tensor;

enum class Activation { kIdentity, kGelu };

Tensor activate(const Tensor& x, Activation activation);

/// x [..., in] * weight [out, in]^T + bias [out] (bias may be undefined) -> [..., out].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, MacCounter& counter);

/// Softmax attention over heads. query, key, value [batch, heads, tokens, head_dim] -> the same
/// shape; scores are divided by sqrt(head_dim). `valid` [batch, tokens] bool leaves out padding
/// keys; undefined when every token is valid.
Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& valid,
                 MacCounter& counter);

/// Non-overlapping patches: pixels [batch, channels, height, width] -> [batch,
/// (height/patch)*(width/patch), channels*patch*patch], rows of patches first. A convolution whose
/// stride is its kernel is one matrix product over them.
Tensor cut_patches(const Tensor& pixels, int64_t patch);

}  // namespace pace::kernels
