#include "pace/kernels/dense.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

namespace pace::kernels {

bool runs_own_kernels(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.numel() > 0 &&
         !at::GradMode::is_enabled() && !at::autocast::is_autocast_enabled(at::kCPU);
}

Tensor with_dense_rows(const Tensor& x) { return x.stride(1) == 1 ? x : x.contiguous(); }

Tensor activate(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kIdentity:
      return x;
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kSilu:
      return at::silu(x);
  }
  return x;
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Context& context) {
  context.macs += x.numel() * weight.size(0);
  return at::linear(x, weight, bias);
}

Tensor cut_patches(const Tensor& pixels, int64_t patch) {
  const int64_t batch = pixels.size(0), channels = pixels.size(1);
  const int64_t rows = pixels.size(2) / patch, columns = pixels.size(3) / patch;
  return pixels.reshape({batch, channels, rows, patch, columns, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({batch, rows * columns, channels * patch * patch});
}

}  // namespace pace::kernels
