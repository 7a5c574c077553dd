#include "pace/models/tokens.h"

#include <fmt/ranges.h>

#include "pace/base/error.h"

namespace pace {

kernels::Sequences text_sequences(const Tensor& inputs, int64_t most) {
  if (inputs.dim() != 3 || inputs.size(0) < 1 || inputs.size(2) != 2 ||
      inputs.scalar_type() != at::kLong) {
    fail("inputs of shape [{}], {}; this model takes int64 [batch, tokens, 2]",
         fmt::join(inputs.sizes(), ", "), c10::toString(inputs.scalar_type()));
  }
  const Tensor lengths = inputs.select(2, 0).ge(0).sum(1).to(at::kCPU);
  const int64_t* values = lengths.const_data_ptr<int64_t>();
  const std::vector<int64_t> all(values, values + lengths.numel());
  for (const int64_t length : all) {
    if (length < 1 || length > most) {
      fail("a sequence of {} tokens; this model takes 1..{}", length, most);
    }
  }
  return kernels::Sequences(all);
}

void check_tokens(const Tensor& tokens, int64_t column, const char* what, int64_t size) {
  const auto [least, most] = tokens.select(1, column).aminmax();
  if (least.item<int64_t>() >= 0 && most.item<int64_t>() < size) return;
  fail("a token's {} is outside 0..{}", what, size - 1);
}

}  // namespace pace
