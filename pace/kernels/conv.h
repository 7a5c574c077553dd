#pragma once

#include <utility>

#include "pace/kernels/dense.h"
#include "pace/kernels/grid.h"
#include "pace/kernels/prepared.h"

namespace pace::kernels {

/// Batch normalisation of `channels`: handles, whose changes in place are seen.
struct BatchNorm {
  Tensor weight, bias, mean, variance;  ///< [channels]
  double epsilon = 1e-5, momentum = 0.1;
};

/// What comes behind a convolution.
struct ConvEnd {
  bool relu = true;
  Tensor residual = {};           ///< added before the ReLU: of the result's shape, or undefined
  bool batch_statistics = false;  ///< in training: norm by the batch's own, and learn from them
};

/// A square convolution without bias, the batch norm behind it, an addition and a ReLU, over maps
/// whose positions are rows. Inference on the CPU runs on weights packed once with the norm folded
/// into them; a position has the same bits whichever others are computed. Training, autocast and
/// other devices run LibTorch's own.
class Conv {
 public:
  /// weight [out, in, side, side] with an odd side; each side of a map is padded by side / 2.
  Conv(Tensor weight, int64_t stride, BatchNorm norm)
      : weight_(std::move(weight)), stride_(stride), norm_(std::move(norm)) {}

  /// x [grid.rows(), in] -> [grid.strided(stride).rows(), out].
  Tensor forward(const Tensor& x, const Grid& grid, const ConvEnd& end, Context& context) const;

  /// Writes only these rows, int64, of y [grid.strided(stride).rows(), out]; y may be the residual.
  /// Nothing is differentiated.
  void forward_at(const Tensor& rows, const Tensor& x, const Grid& grid, const ConvEnd& end,
                  Tensor& y, Context& context) const;

  int64_t macs() const { return weight_.numel(); }  ///< for one position of the result
  int64_t stride() const { return stride_; }
  int64_t out() const { return weight_.size(0); }
  int64_t side() const { return weight_.size(2); }

 private:
  struct Packed;
  Tensor scale() const;
  /// `rows` undefined: all.
  void run(const Tensor& rows, const Tensor& x, const Grid& grid, const ConvEnd& end, Tensor& y,
           Context& context) const;
  Tensor plain(const Tensor& x, const Grid& grid, const ConvEnd& end) const;

  Tensor weight_;
  int64_t stride_;
  BatchNorm norm_;
  PreparedFor<Packed> packed_;
};

}  // namespace pace::kernels
