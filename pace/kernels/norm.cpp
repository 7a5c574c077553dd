#include "pace/kernels/norm.h"

#include <ATen/Parallel.h>

#include "pace/kernels/dense.h"
#include "pace/kernels/isa.h"

namespace pace::kernels {

Tensor add_scaled(const Tensor& states, const Tensor& update, const Tensor& scale) {
  return scale.defined() ? at::addcmul(states, update, scale) : states + update;
}

Tensor Norm::forward(const Tensor& states, Context& context, Activation activation) const {
  if (runs_own_kernels(states)) return run(states, {}, {}, nullptr, activation, context);
  const Tensor x = states.to(at::kFloat);
  const int64_t dim = weight_.size(0);
  return activate(bias_.defined() ? at::layer_norm(x, {dim}, weight_, bias_, epsilon_)
                                  : at::rms_norm(x, {dim}, weight_, epsilon_),
                  activation);
}

std::pair<Tensor, Tensor> Norm::add(const Tensor& states, const Tensor& update, const Tensor& scale,
                                    Context& context) const {
  if (!runs_own_kernels(states)) {
    const Tensor sum = add_scaled(states, update, scale);
    return {sum, forward(sum, context)};
  }
  Tensor sum = at::empty(states.sizes(), states.options());
  const Tensor normed = run(states, update, scale, &sum, Activation::kIdentity, context);
  return {sum, normed};
}

Tensor Norm::run(const Tensor& states, const Tensor& update, const Tensor& scale, Tensor* sum,
                 Activation activation, const Context& context) const {
  constexpr int64_t kNumbersPerTask = 1 << 14;
  const Tensor x = states.contiguous();
  const Tensor added = sum ? update.to(at::kFloat).contiguous() : Tensor();
  Tensor out = at::empty_like(x);
  NormCall call;
  call.states = x.const_data_ptr<float>();
  if (sum) {
    call.update = added.const_data_ptr<float>();
    call.sum = sum->mutable_data_ptr<float>();
    if (scale.defined()) call.scale = scale.const_data_ptr<float>();
  }
  call.out = out.mutable_data_ptr<float>();
  call.weight = weight_.const_data_ptr<float>();
  if (bias_.defined()) call.bias = bias_.const_data_ptr<float>();
  call.dim = weight_.size(0);
  call.epsilon = static_cast<float>(epsilon_);
  call.activation = activation;
  const CpuKernels kernels = cpu_kernels(context);
  at::parallel_for(0, x.numel() / call.dim, std::max<int64_t>(1, kNumbersPerTask / call.dim),
                   [&](int64_t begin, int64_t end) { kernels.norm(call, begin, end - begin); });
  return out;
}

}  // namespace pace::kernels
