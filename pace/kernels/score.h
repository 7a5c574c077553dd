#pragma once

#include <utility>

#include "pace/kernels/dense.h"
#include "pace/kernels/grid.h"
#include "pace/kernels/prepared.h"

namespace pace::kernels {

/// One number for each picture, a linear map of the mean of its feature map; or for each position,
/// with a 3 x 3 convolution there added to its picture's. Such as halting units have. Sums are
/// float32 whatever the type of the products.
class MapScore {
 public:
  /// mean_weight [1, channels], bias [1], and conv_weight [1, channels, 3, 3] or undefined:
  /// handles.
  MapScore(Tensor mean_weight, Tensor bias, Tensor conv_weight)
      : mean_weight_(std::move(mean_weight)),
        bias_(std::move(bias)),
        conv_weight_(std::move(conv_weight)) {}

  bool by_position() const { return conv_weight_.defined(); }
  /// x [grid.rows(), channels] -> [grid.pictures] or [grid.rows()], differentiable.
  Tensor forward(const Tensor& x, const Grid& grid, Context& context) const;
  /// The same of some pictures or positions only, int64 [units] on the CPU in rising order ->
  /// [units]. Nothing is differentiated; each has the same bits whichever others are asked for.
  Tensor forward_at(const Tensor& units, const Tensor& x, const Grid& grid, Context& context) const;

  int64_t mean_macs() const { return mean_weight_.numel(); }  ///< for one picture
  /// For one position.
  int64_t position_macs() const { return by_position() ? conv_weight_.numel() : 0; }

 private:
  Tensor mean_weight_, bias_, conv_weight_;
  Prepared<Tensor> lines_;  ///< of the convolution's weight, and one of zeros: [4, 3, channels]
};

}  // namespace pace::kernels
