#pragma once

#include "pace/kernels/context.h"
#include "pace/kernels/sequences.h"

namespace pace::kernels {

using at::Tensor;

/// Softmax attention within each sequence. query, key, value [rows, dim], whose heads lie side by
/// side -> the same shape; scores are divided by sqrt(dim / heads).
Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, int64_t heads,
                 const Sequences& sequences, Context& context);

}  // namespace pace::kernels
