#pragma once

#include <utility>

#include "pace/kernels/dense.h"
#include "pace/kernels/prepared.h"

namespace pace::kernels {

/// A dense layer y = activation(x weight^T + bias). Inference on the CPU runs on weights packed
/// once (a second copy of them), with bias and activation in the product's epilogue: a row has the
/// same bits whatever rows stand beside it and however many threads run. Training, autocast and
/// other devices run LibTorch's own.
class Linear {
 public:
  /// weight [out, in], or [out, ...] whose further dimensions are taken as one, and bias [out] (may
  /// be undefined) are handles: changes in place are seen.
  /// A `transposed` weight is [in, out], as in GPT-2.
  Linear(Tensor weight, Tensor bias, bool transposed = false)
      : weight_(std::move(weight)), bias_(std::move(bias)), transposed_(transposed) {}

  /// x [..., in] -> [..., out], float32 when packed.
  Tensor forward(const Tensor& x, Context& context,
                 Activation activation = Activation::kIdentity) const;

 private:
  struct Packed;
  Tensor weight_, bias_;
  bool transposed_;
  PreparedFor<Packed> packed_;
};

}  // namespace pace::kernels
