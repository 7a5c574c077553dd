#include "pace/train/optimizer.h"

#include <ATen/core/grad_mode.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "pace/base/error.h"

namespace pace {
namespace {

void check_rate(double value, const char* what) {
  if (!std::isfinite(value) || value < 0) fail("{} is {}; it must be 0 or more", what, value);
}

void restore(Tensor& target, const Tensor& stored, const std::string& name) {
  if (stored.sizes() != target.sizes()) {
    fail("optimiser state '{}' has shape {}, but {} is needed", name,
         fmt::join(stored.sizes(), "x"), fmt::join(target.sizes(), "x"));
  }
  target.copy_(stored);
}

}  // namespace

AdamW::AdamW(std::vector<ParameterGroup> groups, double clip_norm, double beta1, double beta2,
             double epsilon)
    : groups_(std::move(groups)),
      clip_norm_(clip_norm),
      beta1_(beta1),
      beta2_(beta2),
      epsilon_(epsilon) {
  check_rate(clip_norm, "the clipping norm");
  std::set<std::string> seen;
  for (size_t g = 0; g < groups_.size(); ++g) {
    check_rate(groups_[g].learning_rate, "the learning rate");
    check_rate(groups_[g].weight_decay, "the weight decay");
    for (const auto& [name, parameter] : groups_[g].parameters) {
      if (!seen.insert(name).second) fail("parameter '{}' is given to the optimiser twice", name);
      const Tensor mean = at::zeros_like(parameter.detach());
      slots_.push_back({name, parameter, mean, at::zeros_like(mean),
                        at::zeros({}, mean.options().dtype(at::kFloat)), g});
    }
  }
}

void AdamW::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad().reset();
}

void AdamW::scale_gradients(double factor) {
  const at::NoGradGuard no_grad;
  for (Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) slot.parameter.mutable_grad().mul_(factor);
  }
}

double AdamW::step(double scale) {
  const at::NoGradGuard no_grad;
  std::vector<Tensor> gradients;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) gradients.push_back(slot.parameter.grad());
  }
  if (gradients.empty()) return 0.0;
  const double norm = at::stack(at::_foreach_norm(gradients, 2)).norm().item<double>();
  if (!std::isfinite(norm)) {
    for (const Slot& slot : slots_) {
      const Tensor& gradient = slot.parameter.grad();
      if (gradient.defined() && !gradient.isfinite().all().item<bool>()) {
        fail("the gradient of '{}' is not finite", slot.name);
      }
    }
    fail("the gradients are finite, but their norm is not");
  }
  const double clip = clip_norm_ / (norm + 1e-6);
  if (clip_norm_ > 0 && clip < 1) at::_foreach_mul_(gradients, clip);

  for (size_t g = 0; g < groups_.size(); ++g) {
    std::vector<Tensor> parameters, grads, means, squares, steps;
    for (const Slot& slot : slots_) {
      if (slot.group != g || !slot.parameter.grad().defined()) continue;
      parameters.push_back(slot.parameter);
      grads.push_back(slot.parameter.grad());
      means.push_back(slot.mean);
      squares.push_back(slot.square);
      steps.push_back(slot.steps);
    }
    if (parameters.empty()) continue;
    at::_foreach_add_(steps, 1);  // the kernel reads the number of this step, it does not count
    at::_fused_adamw_(parameters, grads, means, squares, {}, steps,
                      groups_[g].learning_rate * scale, beta1_, beta2_, groups_[g].weight_decay,
                      epsilon_, /*amsgrad=*/false, /*maximize=*/false);
    // The fused kernel changes them unseen; who keeps something made of them must be told.
    for (const Tensor& parameter : parameters) parameter.unsafeGetTensorImpl()->bump_version();
  }
  return norm;
}

std::vector<std::pair<std::string, Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const Slot& slot : slots_) {
    tensors.emplace_back("adam.mean." + slot.name, slot.mean);
    tensors.emplace_back("adam.square." + slot.name, slot.square);
    tensors.emplace_back("adam.steps." + slot.name, slot.steps);
  }
  return tensors;
}

void AdamW::load_state(const std::function<Tensor(const std::string&)>& tensor) {
  for (auto& [name, target] : state()) restore(target, tensor(name), name);
}

double cosine_schedule(int64_t step, int64_t total, int64_t warmup, double floor) {
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  const auto span = static_cast<double>(std::max<int64_t>(total - warmup, 1));
  const double progress = std::min(static_cast<double>(step - warmup) / span, 1.0);
  return floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace pace
