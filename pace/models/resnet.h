#pragma once

#include "pace/models/model.h"

namespace pace {

/// What config.json says of a residual network.
struct ResNetConfig {
  /// CIFAR form (arXiv 1512.03385, section 4.2): a stem of 3 x 3 and shortcuts without parameters
  /// (option A); otherwise torchvision's, with a stem of 7 x 7, max pooling, and projections.
  bool cifar = false;
  bool bottleneck = false;  ///< units of 1 x 1, 3 x 3, 1 x 1, not of two 3 x 3
  int64_t channels = 3, stem = 0, classes = 0;
  std::vector<int64_t> depths, widths, strides;  ///< of the stages: units, channels, first stride
  double epsilon = 1e-5, momentum = 0.1;         ///< of the batch norms

  /// How many pixels a side of the last stage's positions spans.
  int64_t reduction() const;

  /// Throws Error naming `where` and the field for anything missing, contradictory or unsupported.
  static ResNetConfig from_json(const json& config, const std::string& where);
};

/// A residual network: model_type "resnet-cifar" with the tensor names conv1, bn1,
/// layer<S>.<unit>.conv1, ..., linear, or "resnet-torchvision" with torchvision's (the same, with
/// layer<S>.<unit>.downsample and fc). Inputs are float [batch, channels, height, width] of any
/// size from reduction() on. States are rows, one for each position of a feature map; every stage
/// is a depth seam of its own.
std::unique_ptr<Model> make_resnet(const json& config, const std::string& where,
                                   std::unique_ptr<Parameters> parameters,
                                   const MapBuilder& build_map, const DepthBuilder& build_depth);

}  // namespace pace
