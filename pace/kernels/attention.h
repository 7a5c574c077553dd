#pragma once

#include "pace/kernels/context.h"

namespace pace::kernels {

using at::Tensor;

/// Softmax attention. query, key, value [batch, tokens, dim], whose heads lie side by side -> the
/// same shape; scores are divided by sqrt(dim / heads). `valid` [batch, tokens] bool leaves out
/// padding keys; undefined when every token is valid.
Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, int64_t heads,
                 const Tensor& valid, Context& context);

}  // namespace pace::kernels
