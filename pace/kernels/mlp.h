#pragma once

#include "pace/kernels/linear.h"
#include "pace/kernels/ragged.h"

namespace pace::kernels {

/// A dense MLP: linear, activation, linear. Inference on the CPU runs it in one go, with the hidden
/// units in the cache, as a ragged MLP of which every row runs all; a row's bits depend neither on
/// the other rows nor on the number of threads. Training, autocast and other devices run LibTorch's
/// own.
class Mlp {
 public:
  /// in_weight [hidden, in], in_bias [hidden], out_weight [out, hidden] and out_bias [out] are
  /// handles: changes in place are seen.
  Mlp(Tensor in_weight, Tensor in_bias, Tensor out_weight, Tensor out_bias, Activation activation);

  /// x [..., in] -> [..., out].
  Tensor forward(const Tensor& x, Context& context) const;

 private:
  Tensor in_weight_, in_bias_, out_weight_, out_bias_;
  Activation activation_;
  PreparedFor<PackedLearners> packed_;
};

}  // namespace pace::kernels
