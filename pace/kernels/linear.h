#pragma once

#include <utility>

#include "pace/kernels/dense.h"
#include "pace/kernels/prepared.h"

namespace pace::kernels {

/// A dense layer y = activation(x weight^T + bias). Inference on the CPU runs on weights packed
/// once by oneDNN (a second copy of them), with bias and activation in the product's epilogue;
/// training, autocast and other devices run LibTorch's own. Packed, a row of up to kExactInputs
/// inputs has the same bits whatever rows stand beside it and however many threads run; beyond,
/// oneDNN may cut the sum between threads, and only rounding is bounded.
class Linear {
 public:
  static constexpr int64_t kExactInputs = 512;

  /// weight [out, in], or [out, ...] whose further dimensions are taken as one, and bias [out] (may
  /// be undefined) are handles: changes in place are seen.
  Linear(Tensor weight, Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

  /// x [..., in] -> [..., out].
  Tensor forward(const Tensor& x, MacCounter& counter,
                 Activation activation = Activation::kIdentity) const {
    return forward(x, bias_, counter, activation);
  }
  /// With another bias for this call.
  Tensor forward(const Tensor& x, const Tensor& bias, MacCounter& counter,
                 Activation activation = Activation::kIdentity) const;

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

 private:
  Tensor weight_, bias_;
  Prepared<Tensor> packed_;
};

}  // namespace pace::kernels
