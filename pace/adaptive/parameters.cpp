#include "pace/adaptive/parameters.h"

#include <ATen/core/grad_mode.h>

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numbers>
#include <utility>

#include "pace/base/error.h"

namespace pace {

namespace {

std::string shape_text(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Normal numbers cut off at two deviations, by inverting the distribution function.
Tensor truncated_normal(at::IntArrayRef shape, double deviation, at::Generator generator) {
  const double edge = std::erf(std::numbers::sqrt2);
  const Tensor uniform = at::empty(shape, at::kFloat).uniform_(-edge, edge, std::move(generator));
  return uniform.erfinv_().mul_(deviation * std::numbers::sqrt2);
}

/// A float32 copy that belongs to the model, checked.
Tensor owned(const Tensor& given, const std::string& name, at::IntArrayRef shape,
             const std::string& where) {
  if (given.sizes() != shape) {
    fail("{}: tensor '{}' has shape {}, but the config asks for {}", where, name,
         shape_text(given.sizes()), shape_text(shape));
  }
  if (!at::isFloatingType(given.scalar_type())) {
    fail("{}: tensor '{}' has type {}; it must be a floating-point type", where, name,
         c10::toString(given.scalar_type()));
  }
  Tensor copy = given.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  // NaN wins in both extremes, so they tell whether every value is finite in one pass.
  const auto [least, greatest] = copy.aminmax();
  if (!std::isfinite(least.item<float>()) || !std::isfinite(greatest.item<float>())) {
    const int64_t bad = copy.numel() - copy.isfinite().sum().item<int64_t>();
    fail("{}: tensor '{}' holds {} value(s) of {} that are NaN or infinite as float32", where, name,
         bad, copy.numel());
  }
  return copy;
}

}  // namespace

Parameters::Parameters(WeightSource source, std::function<bool(const std::string&)> may_initialize,
                       uint64_t seed, std::string where)
    : source_(std::move(source)),
      may_initialize_(std::move(may_initialize)),
      generator_(at::detail::createCPUGenerator(seed)),
      where_(std::move(where)) {}

Tensor Parameters::add(const std::string& name, at::IntArrayRef shape, Initial initial) {
  const at::NoGradGuard no_grad;
  if (index_.contains(name)) fail("parameter '{}' is asked for twice", name);
  Tensor tensor;
  if (const std::optional<Tensor> given = source_(name)) {
    tensor = owned(*given, name, shape, where_);
  } else if (initial.kind == Initial::Kind::kRequired || !may_initialize_ ||
             !may_initialize_(name)) {
    fail("{}: tensor '{}' of shape {} is missing", where_, name, shape_text(shape));
  } else if (initial.kind == Initial::Kind::kConstant) {
    tensor = at::full(shape, initial.value, at::kFloat);
  } else if (initial.kind == Initial::Kind::kValues) {
    tensor = initial.values.reshape(shape).to(at::kFloat).clone();
  } else {
    tensor = truncated_normal(shape, initial.value, generator_);
  }
  tensor.requires_grad_();
  index_.emplace(name, tensors_.size());
  tensors_.emplace_back(name, tensor);
  return tensor;
}

Tensor Parameters::add_statistic(const std::string& name, at::IntArrayRef shape, Initial initial) {
  return add(name, shape, std::move(initial)).requires_grad_(false);
}

Tensor Parameters::at(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail("the model has no parameter '{}'", name);
  return tensors_[found->second].second;
}

int64_t Parameters::count() const {
  int64_t scalars = 0;
  for (const auto& [name, tensor] : tensors_) {
    if (tensor.requires_grad()) scalars += tensor.numel();
  }
  return scalars;
}

LinearParameters add_linear(const std::string& name, int64_t in, int64_t out, double deviation,
                            Parameters& parameters, std::optional<double> bias) {
  const Tensor weight = parameters.add(name + ".weight", {out, in}, Initial::normal(deviation));
  if (!bias) return {weight, Tensor()};
  return {weight, parameters.add(name + ".bias", {out}, Initial::constant(*bias))};
}

WeightSource no_weights() {
  return [](const std::string&) { return std::nullopt; };
}

}  // namespace pace
