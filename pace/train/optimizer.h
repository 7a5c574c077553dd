#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace pace {

using at::Tensor;

/// Parameters that share a learning rate and weight decay.
struct ParameterGroup {
  std::vector<std::pair<std::string, Tensor>> parameters;
  double learning_rate = 1e-3;
  double weight_decay = 0.0;
};

/// AdamW (Loshchilov and Hutter 2019) on LibTorch's fused kernel, with gradient clipping. Its whole
/// state can be stored and restored, so that a resumed run continues bit for bit.
class AdamW {
 public:
  /// Throws Error for a negative or non-finite rate, decay or clip_norm, and for a parameter in two
  /// groups.
  AdamW(std::vector<ParameterGroup> groups, double clip_norm, double beta1 = 0.9,
        double beta2 = 0.999, double epsilon = 1e-8);

  void zero_grad();
  void scale_gradients(double factor);
  /// Clips the global norm of the gradients to clip_norm (0 = no clipping), steps with every
  /// group's rate times `scale`, and returns the norm before clipping. Parameters without a
  /// gradient stay as they are. Throws Error naming a parameter when the norm is not finite;
  /// nothing has changed then.
  double step(double scale);

  /// First and second moments and step counts under "adam.mean.", "adam.square." and "adam.steps."
  /// and the parameter's name; the tensors themselves, not copies.
  std::vector<std::pair<std::string, Tensor>> state() const;
  /// Copies what `tensor` has under the names of state(). Throws Error when a shape differs.
  void load_state(const std::function<Tensor(const std::string&)>& tensor);

  const std::vector<ParameterGroup>& groups() const { return groups_; }

 private:
  struct Slot {
    std::string name;
    Tensor parameter, mean, square, steps;
    size_t group;
  };
  std::vector<ParameterGroup> groups_;
  std::vector<Slot> slots_;
  double clip_norm_, beta1_, beta2_, epsilon_;
};

/// Share of the base learning rate at `step` of `total`: linear warm-up over `warmup` steps, then
/// cosine to `floor`.
double cosine_schedule(int64_t step, int64_t total, int64_t warmup, double floor);

}  // namespace pace
