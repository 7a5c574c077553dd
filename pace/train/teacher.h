#pragma once

#include <functional>

#include "pace/models/factory.h"

namespace pace {

/// What a tap sees: the spec of a token-wise map, its input [rows, in] and its output
/// [rows, out].
using Tap = std::function<void(const MapSpec& spec, const Tensor& input, const Tensor& output)>;

/// A dense model whose maps can be listened to while it runs: the teacher of module-wise
/// distillation. What a tap is given is not kept, so no more than one module's activations are
/// alive at a time.
class Teacher {
 public:
  /// Taps the maps that `acm` covers; has its own copy of the dense model's weights.
  Teacher(const LoadedModel& dense, const AcmConfig& acm);

  /// Runs without gradients -> logits [batch, classes]. The tap itself may enable gradients.
  Tensor run(const Tensor& inputs, const Tap& tap) const;

  const Model& model() const { return *model_; }

 private:
  std::shared_ptr<Tap> tap_;  ///< shared with the tapped maps, set while a run lasts
  std::unique_ptr<Model> model_;
};

}  // namespace pace
