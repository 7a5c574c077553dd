#include "pace/kernels/linear.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>

namespace pace::kernels {

namespace {

/// oneDNN's product on packed weights, which LibTorch registers but does not declare.
Tensor packed_product(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      Activation activation) {
  using Product =
      Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view,
             c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static const auto product = c10::Dispatcher::singleton()
                                  .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                                  .typed<Product>();
  const bool gelu = activation == Activation::kGelu;
  return product.call(x, weight, bias.defined() ? std::optional(bias) : std::nullopt,
                      gelu ? "gelu" : "none", c10::List<std::optional<at::Scalar>>(), "none");
}

Tensor packed_weight(const Tensor& weight) {
  using Reorder = Tensor(const Tensor&, std::optional<c10::SymInt>);
  static const auto reorder = c10::Dispatcher::singleton()
                                  .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                                  .typed<Reorder>();
  constexpr int64_t kRows = 256;  // a hint: packed weights serve any number of them
  return reorder.call(weight.detach().flatten(1), c10::SymInt(kRows));
}

bool runs_packed(const Tensor& x, const Tensor& weight) {
  return x.is_cpu() && x.numel() > 0 && x.scalar_type() == weight.scalar_type() &&
         !at::GradMode::is_enabled() && !at::autocast::is_autocast_enabled(at::kCPU) &&
         at::hasMKLDNN();
}

}  // namespace

Tensor Linear::forward(const Tensor& x, const Tensor& bias, MacCounter& counter,
                       Activation activation) const {
  if (!runs_packed(x, weight_))
    return activate(linear(x, weight_.flatten(1), bias, counter), activation);
  counter.macs += x.numel() * weight_.size(0);
  const auto packed = packed_.of({weight_}, [&] { return packed_weight(weight_); });
  const Tensor rows = x.reshape({-1, x.size(-1)});
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = weight_.size(0);
  // A single row would go another way, with other sums.
  const Tensor out = packed_product(rows.size(0) == 1 ? rows.expand({2, -1}).contiguous() : rows,
                                    *packed, bias, activation);
  return out.narrow(0, 0, rows.size(0)).view(sizes);
}

}  // namespace pace::kernels
