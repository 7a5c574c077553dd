#pragma once

#include <utility>

#include "pace/kernels/dense.h"
#include "pace/kernels/grid.h"

namespace pace::kernels {

/// One number for each position of a feature map, by a 3 x 3 convolution: such as a halting unit's.
/// Sums are float32 whatever the type of the products.
class PositionScore {
 public:
  /// weight [1, channels, 3, 3], a handle.
  explicit PositionScore(Tensor weight) : weight_(std::move(weight)) {}

  /// x [grid.rows(), channels] -> [grid.rows()], differentiable.
  Tensor forward(const Tensor& x, const Grid& grid, Context& context) const;
  /// The same at some rows, int64 -> [rows]; nothing is differentiated. A position has the same
  /// bits whichever others are asked for.
  Tensor forward_at(const Tensor& rows, const Tensor& x, const Grid& grid, Context& context) const;

  int64_t macs() const { return weight_.numel(); }  ///< for one position

 private:
  Tensor weight_;
};

}  // namespace pace::kernels
