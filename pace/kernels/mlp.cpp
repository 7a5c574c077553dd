#include "pace/kernels/mlp.h"

namespace pace::kernels {

Mlp::Mlp(Tensor in_weight, Tensor in_bias, Tensor out_weight, Tensor out_bias,
         Activation activation)
    : in_weight_(std::move(in_weight)),
      in_bias_(std::move(in_bias)),
      out_weight_(std::move(out_weight)),
      out_bias_(std::move(out_bias)),
      activation_(activation) {}

Tensor Mlp::forward(const Tensor& x, Context& context) const {
  if (!runs_own_kernels(x)) {
    const Tensor hidden = activate(linear(x, in_weight_, in_bias_, context), activation_);
    return linear(hidden, out_weight_, out_bias_, context);
  }
  const auto packed = packed_.of(context, {in_weight_, in_bias_, out_weight_, out_bias_}, [&] {
    const Tensor offsets = at::stack({at::zeros_like(out_bias_), out_bias_});
    return PackedLearners(
        {in_weight_, in_bias_, out_weight_, offsets, in_weight_.size(0), activation_, {}, {}},
        context);
  });
  const Tensor rows = x.flatten(0, -2);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = out_weight_.size(0);
  return ragged_mlp(rows, at::ones({rows.size(0)}, at::kLong), *packed, context).view(sizes);
}

}  // namespace pace::kernels
