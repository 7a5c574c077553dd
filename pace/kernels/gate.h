#pragma once

#include <span>

#include "pace/kernels/context.h"
#include "pace/kernels/isa.h"

namespace pace::kernels {

using at::Tensor;

/// The weights of a gate (linear, GELU, linear) laid out for the kernel that a context asks
/// for, on the CPU. It is never changed and may be used by several threads at a time.
class PackedGate {
 public:
  /// in_weight [hidden, in], out_weight [choices, hidden]. The first product is of the context's
  /// type, the second of float32.
  PackedGate(const Tensor& in_weight, const Tensor& out_weight, const Context& context);

 private:
  friend Tensor best_choice(const Tensor& x, const PackedGate& gate, std::span<const float> in_bias,
                            std::span<const float> out_bias, int64_t first, Context& context);

  CpuKernels kernels_;
  int64_t in_, hidden_, choices_;
  Tensor in_weight_;   ///< [panels of hidden units, words, lanes, pack]
  Tensor out_weight_;  ///< [panels of choices, hidden, lanes, 1]
};

/// `first` + the number of the greatest of a gate's scores, the first of equals. x [rows, in] on
/// the CPU -> int64 [rows]; in_bias [hidden] and out_bias [choices] are those of this call. A row's
/// choice does not depend on the others.
Tensor best_choice(const Tensor& x, const PackedGate& gate, std::span<const float> in_bias,
                   std::span<const float> out_bias, int64_t first, Context& context);

}  // namespace pace::kernels
