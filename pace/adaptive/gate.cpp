#include "pace/adaptive/gate.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace pace {

namespace {

/// -(k/N - top)^2 / 2 over k = minimum..N: less a price p it is greatest at k/N = top - p.
Tensor static_logits(const GateShape& shape) {
  const double learners = static_cast<double>(shape.learners);
  const double top = 1.0 + (shape.phase - 0.5) / learners;
  const Tensor share = at::arange(shape.minimum, shape.learners + 1, at::kFloat) / learners;
  return -(share - top).square() / 2;
}

Tensor gumbel_like(const Tensor& logits, const at::Generator& generator) {
  const Tensor uniform = at::rand(logits.sizes(), generator, logits.options());
  return -(-(uniform.clamp_min(1e-20)).log()).clamp_min(1e-20).log();
}

}  // namespace

Gate::Gate(const GateShape& shape, const std::string& prefix, Parameters& parameters)
    : shape_(shape) {
  if (shape.kind == GateKind::kStatic) {
    out_bias_ = static_logits(shape);
    return;
  }
  const int64_t choices = shape.learners + 1 - shape.minimum;
  const double deviation = 1.0 / std::sqrt(static_cast<double>(shape.in));
  in_weight_ =
      parameters.add(prefix + ".in_weight", {shape.hidden, shape.in}, Initial::normal(deviation));
  in_bias_ = parameters.add(prefix + ".in_bias", {shape.hidden}, Initial::zeros());
  budget_weight_ = parameters.add(prefix + ".budget_weight", {shape.hidden}, Initial::normal(1.0));
  // A static gate at first, which training can only better: at random it would first have to
  // unlearn.
  out_weight_ = parameters.add(prefix + ".out_weight", {choices, shape.hidden}, Initial::zeros());
  out_bias_ = parameters.add(prefix + ".out_bias", {choices}, Initial::of(static_logits(shape)));
}

double Gate::macs_per_token() const {
  if (shape_.kind == GateKind::kStatic) return 0.0;
  return static_cast<double>(shape_.hidden * (shape_.in + shape_.learners + 1 - shape_.minimum));
}

Tensor Gate::scores(const Tensor& tokens, Pass& pass) const {
  if (shape_.kind == GateKind::kStatic) {
    std::vector<int64_t> sizes = tokens.sizes().vec();
    sizes.back() = shape_.learners + 1 - shape_.minimum;
    return out_bias_.to(tokens.device()).expand(sizes);
  }
  const Tensor bias = in_bias_ + budget_weight_ * budget_share(pass.budget);
  const Tensor hidden = kernels::activate(kernels::linear(tokens, in_weight_, bias, pass.context),
                                          kernels::Activation::kGelu);
  return kernels::linear(hidden, out_weight_, out_bias_, pass.context).to(at::kFloat);
}

Tensor Gate::charge(double price) const {
  const Tensor share = at::arange(shape_.minimum, shape_.learners + 1, at::kFloat) /
                       static_cast<double>(shape_.learners);
  return share * price;
}

Tensor Gate::logits(const Tensor& tokens, Pass& pass) const {
  const Tensor made = scores(tokens, pass);
  return pass.price == 0.0 ? made : made - charge(pass.price).to(made.device());
}

Tensor Gate::best(const Tensor& rows, Pass& pass) const {
  const at::NoGradGuard no_grad;
  if (!kernels::runs_own_kernels(rows)) return logits(rows, pass).argmax(-1) + shape_.minimum;
  // The biases of this budget and price, number by number: they are few, and tensor operations on
  // them would take as long as the choice itself.
  std::vector<float> choices(out_bias_.const_data_ptr<float>(),
                             out_bias_.const_data_ptr<float>() + out_bias_.numel());
  const auto price = static_cast<float>(pass.price);
  for (size_t c = 0; c < choices.size(); ++c) {
    const auto k = static_cast<float>(shape_.minimum + static_cast<int64_t>(c));
    choices[c] -= price * (k / static_cast<float>(shape_.learners));
  }
  if (shape_.kind == GateKind::kStatic) {
    const auto best = std::max_element(choices.begin(), choices.end()) - choices.begin();
    return at::full({rows.size(0)}, shape_.minimum + best, rows.options().dtype(at::kLong));
  }
  std::vector<float> hidden(in_bias_.const_data_ptr<float>(),
                            in_bias_.const_data_ptr<float>() + in_bias_.numel());
  for (size_t i = 0; i < hidden.size(); ++i) {
    hidden[i] += budget_weight_.const_data_ptr<float>()[i] * budget_share(pass.budget);
  }
  const auto packed = packed_.of(pass.context, {in_weight_, out_weight_}, [&] {
    return kernels::PackedGate(in_weight_, out_weight_, pass.context);
  });
  return kernels::best_choice(rows, *packed, hidden, choices, shape_.minimum, pass.context);
}

Tensor Gate::relaxed(const Tensor& tokens, Pass& pass) const {
  Tensor scores = logits(tokens, pass);
  const bool learned = shape_.kind == GateKind::kLearned;
  if (pass.noise > 0 && learned) scores = scores + pass.noise * gumbel_like(scores, pass.generator);
  Tensor choice = at::one_hot(scores.argmax(-1), scores.size(-1)).to(at::kFloat);
  if (learned) {
    const Tensor soft = at::softmax(scores / shape_.temperature, -1);
    choice = choice + soft - soft.detach();
  }
  return at::constant_pad_nd(choice, {shape_.minimum, 0});
}

}  // namespace pace
