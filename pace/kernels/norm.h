#pragma once

#include <utility>

#include "pace/kernels/context.h"
#include "pace/kernels/cpu.h"

namespace pace::kernels {

using at::Tensor;

/// Layer norm over the last dimension, or RMSNorm (arXiv 1910.07467), in float32 whatever the
/// states are: their variance loses too much in bfloat16.
class Norm {
 public:
  /// weight and bias [dim] are handles; without a bias (undefined) it is RMSNorm.
  Norm(Tensor weight, Tensor bias, double epsilon)
      : weight_(std::move(weight)), bias_(std::move(bias)), epsilon_(epsilon) {}

  /// states [..., dim] -> the same shape.
  Tensor forward(const Tensor& states, Context& context,
                 Activation activation = Activation::kIdentity) const;

  /// The sum = states + scale * update, and its norm. `scale` [dim] may be undefined: 1.
  std::pair<Tensor, Tensor> add(const Tensor& states, const Tensor& update, const Tensor& scale,
                                Context& context) const;

 private:
  Tensor run(const Tensor& states, const Tensor& update, const Tensor& scale, Tensor* sum,
             Activation activation, const Context& context) const;

  Tensor weight_, bias_;
  double epsilon_;
};

/// states + scale * update; `scale` [dim] may be undefined: 1.
Tensor add_scaled(const Tensor& states, const Tensor& update, const Tensor& scale);

}  // namespace pace::kernels
