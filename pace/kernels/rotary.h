#pragma once

#include "pace/kernels/context.h"

namespace pace::kernels {

using at::Tensor;

/// Rotary position embeddings (arXiv 2104.09864) as Llama lays them out: at position p, numbers i
/// and i + width / 2 of a head are turned by the angle p / base^(2 i / width).
class Rotary {
 public:
  /// For heads of an even `width`, at positions [0, positions).
  Rotary(int64_t width, double base, int64_t positions);

  /// x [rows, heads * width] at `positions` int64 [rows] -> the same shape.
  Tensor forward(const Tensor& x, const Tensor& positions, const Context& context) const;

 private:
  int64_t width_;
  Tensor cos_, sin_;  ///< [positions, width / 2]
};

}  // namespace pace::kernels
