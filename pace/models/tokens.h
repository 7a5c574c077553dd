#pragma once

#include "pace/kernels/sequences.h"

namespace pace {

using at::Tensor;

/// Where the texts of a batch lie: inputs int64 [batch, longest, 2], -1 after the end of a text.
/// Throws Error for inputs of another shape, for empty texts and those of more than `most` tokens.
kernels::Sequences text_sequences(const Tensor& inputs, int64_t most);

/// Throws Error unless all numbers of a column of tokens int64 [rows, 2] lie in [0, size); `what`
/// says what they number.
void check_tokens(const Tensor& tokens, int64_t column, const char* what, int64_t size);

}  // namespace pace
