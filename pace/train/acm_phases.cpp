#include "pace/train/acm_phases.h"

#include <ATen/core/grad_mode.h>

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <cmath>

namespace pace {

namespace {

/// The learners' weights in the type that matrix products run in, and the hidden layer they share.
struct Hidden {
  Tensor before, after;  ///< [tokens, N*width]: before the activation; after it, less the centre
  Tensor input;          ///< [tokens, in]
  Tensor out_weight;     ///< [out, N*width]
};

Hidden hidden_layer(const Acm& acm, const Tensor& input) {
  // As autocast would choose; it does not reach the slices and in-place sums used here.
  const at::ScalarType type =
      at::autocast::is_autocast_enabled(at::kCPU) ? at::kBFloat16 : at::kFloat;
  Hidden hidden;
  hidden.input = input.to(type);
  hidden.out_weight = acm.out_weight().to(type);
  hidden.before = at::linear(hidden.input, acm.in_weight().to(type), acm.in_bias().to(type));
  hidden.after = kernels::activate(hidden.before, acm.shape().activation) - acm.centre().to(type);
  return hidden;
}

/// s_n(z) + learner_bias_n, n counted from 0.
Tensor learner_output(const Acm& acm, const Hidden& hidden, int64_t n) {
  const int64_t width = acm.shape().width;
  return hidden.after.narrow(1, n * width, width)
             .matmul(hidden.out_weight.narrow(1, n * width, width).t())
             .to(at::kFloat) +
         acm.learner_bias()[n];
}

/// Of all rows from their mean, summed.
double squared_deviation(const Tensor& rows) {
  return (rows - rows.mean(0)).square().sum().item<double>();
}

Tensor activation_gradient(const Tensor& gradient, const Tensor& before,
                           kernels::Activation activation) {
  switch (activation) {
    case kernels::Activation::kIdentity:
      return gradient;
    case kernels::Activation::kGelu:
      return at::gelu_backward(gradient, before);
    case kernels::Activation::kGeluTanh:
      return at::gelu_backward(gradient, before, "tanh");
    case kernels::Activation::kSilu:
      return at::silu_backward(gradient, before);
  }
  return gradient;
}

void accumulate(const Tensor& parameter, const Tensor& gradient) {
  Tensor& stored = parameter.mutable_grad();
  stored = stored.defined() ? stored + gradient : gradient.to(at::kFloat);
}

}  // namespace

std::vector<double> phase1_weights(const AcmShape& shape, double full_share) {
  const int64_t last = shape.stacked(), first = std::min(shape.gate.minimum, last);
  std::vector<double> weights(last + 1, 0.0);
  if (first == last) {
    weights[last] = 1.0;
    return weights;
  }
  // What adds up to the dense map is to stay it; where k = N is the dense map, all k count alike.
  const double share = shape.dense_last ? 1.0 / static_cast<double>(last + 1 - first) : full_share;
  for (int64_t k = first; k < last; ++k) {
    weights[k] = (1.0 - share) / static_cast<double>(last - first);
  }
  weights[last] = share;
  return weights;
}

double learner_loss(const Acm& acm, const Tensor& input, const Tensor& target,
                    const std::vector<double>& weights) {
  const at::NoGradGuard no_grad;
  const int64_t learners = acm.shape().stacked(), width = acm.shape().width;
  const Hidden hidden = hidden_layer(acm, input);
  const at::ScalarType type = hidden.input.scalar_type();
  const Tensor wanted = target.to(at::kFloat);
  const double scale = 1.0 / std::max(squared_deviation(wanted), 1e-12);

  // residual = h_k - o, first for k = N, then walked back; tail = sum over k' >= k of w_k' e_k'.
  Tensor residual = acm.bias() - wanted;
  for (int64_t n = 0; n < learners; ++n) residual.add_(learner_output(acm, hidden, n));
  Tensor tail = at::zeros_like(residual);
  Tensor loss = at::zeros({}, residual.options());
  Tensor hidden_gradient = at::empty_like(hidden.after);
  Tensor out_gradient = at::empty_like(acm.out_weight());
  Tensor bias_gradient = at::empty_like(acm.learner_bias());
  for (int64_t n = learners - 1; n >= 0; --n) {
    loss += residual.square().sum() * (weights[n + 1] * scale);
    tail.add_(residual, 2.0 * weights[n + 1] * scale);
    residual.sub_(learner_output(acm, hidden, n));

    const Tensor flow = tail.to(type);
    const Tensor after = hidden.after.narrow(1, n * width, width);
    out_gradient.narrow(1, n * width, width).copy_(flow.t().matmul(after));
    bias_gradient[n].copy_(tail.sum(0));
    hidden_gradient.narrow(1, n * width, width)
        .copy_(flow.matmul(hidden.out_weight.narrow(1, n * width, width)));
  }
  loss += residual.square().sum() * (weights[0] * scale);
  tail.add_(residual, 2.0 * weights[0] * scale);

  accumulate(acm.out_weight(), out_gradient);
  accumulate(acm.learner_bias(), bias_gradient);
  accumulate(acm.bias(), tail.sum(0));
  hidden_gradient = activation_gradient(hidden_gradient, hidden.before, acm.shape().activation);
  accumulate(acm.in_weight(), hidden_gradient.t().matmul(hidden.input));
  accumulate(acm.in_bias(), hidden_gradient.sum(0, /*keepdim=*/false, at::kFloat));
  return loss.item<double>();
}

Tensor choice_errors(const Acm& acm, const Tensor& input, const Tensor& target) {
  const at::NoGradGuard no_grad;
  const Hidden hidden = hidden_layer(acm, input);
  Tensor residual = acm.bias() - target.to(at::kFloat);
  Tensor errors = at::empty({input.size(0), acm.shape().learners + 1}, residual.options());
  errors.select(1, 0).copy_(residual.square().sum(1));
  for (int64_t n = 0; n < acm.shape().stacked(); ++n) {
    residual.add_(learner_output(acm, hidden, n));
    errors.select(1, n + 1).copy_(residual.square().sum(1));
  }
  if (acm.shape().dense_last) {
    const Tensor dense = at::linear(input, acm.dense_weight(), acm.dense_bias()) - target;
    errors.select(1, acm.shape().learners).copy_(dense.to(at::kFloat).square().sum(1));
  }
  return errors;
}

Tensor ratio_labels(const Tensor& errors, double tau, int64_t minimum) {
  const int64_t learners = errors.size(1) - 1;
  Tensor labels = at::full({errors.size(0)}, learners, at::kLong);
  for (int64_t n = learners; n >= std::max<int64_t>(2, minimum); --n) {
    // d(n)/d(n-1) >= tau, squared.
    const Tensor pays_no_more = errors.select(1, n) >= errors.select(1, n - 1) * (tau * tau);
    labels.masked_fill_(pays_no_more, n);
  }
  return labels;
}

Tensor price_labels(const Tensor& errors, double share, int64_t minimum) {
  const int64_t learners = errors.size(1) - 1;
  const Tensor relative =
      errors.slice(1, minimum) / errors.select(1, minimum).mean().clamp_min(1e-12);
  const Tensor cost =
      at::arange(minimum, learners + 1, errors.options()) / static_cast<double>(learners);
  // The mean share falls as the price rises: bisect the price on a logarithmic scale.
  double low = -20.0, high = 10.0;
  Tensor labels;
  for (int step = 0; step < 24; ++step) {
    const double middle = (low + high) / 2;
    labels = (relative + cost * std::exp(middle)).argmin(1) + minimum;
    const double mean = labels.to(at::kFloat).mean().item<double>() / static_cast<double>(learners);
    (mean > share ? low : high) = middle;
  }
  return labels;
}

}  // namespace pace
