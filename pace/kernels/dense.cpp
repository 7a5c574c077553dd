#include "pace/kernels/dense.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

namespace pace::kernels {

namespace {

/// LibTorch's fused attention on CPU calls a small matrix product per head and image in its
/// backward pass, and in bfloat16 each call builds a oneDNN primitive: five times the time of the
/// plain batched products.
bool plain_is_faster(const Tensor& query) {
  return query.is_cpu() && at::GradMode::is_enabled() &&
         (query.scalar_type() == at::kBFloat16 || at::autocast::is_autocast_enabled(at::kCPU));
}

Tensor plain_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                       const std::optional<Tensor>& mask) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
  Tensor scores = at::matmul(query * scale, key.transpose(-1, -2));
  if (mask) scores = scores.masked_fill(~*mask, -std::numeric_limits<float>::infinity());
  return at::matmul(at::softmax(scores, -1), value);
}

}  // namespace

Tensor activate(const Tensor& x, Activation activation) {
  return activation == Activation::kGelu ? at::gelu(x) : x;
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, MacCounter& counter) {
  counter.macs += x.numel() * weight.size(0);
  return at::linear(x, weight, bias);
}

Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& valid,
                 MacCounter& counter) {
  // Scores: queries x keys x head_dim; the weighted sum of the values: as much again.
  counter.macs += 2 * query.numel() * key.size(2);
  std::optional<Tensor> mask;
  if (valid.defined()) mask = valid.unsqueeze(1).unsqueeze(1);
  if (plain_is_faster(query)) return plain_attention(query, key, value, mask);
  return at::scaled_dot_product_attention(query, key, value, mask);
}

Tensor cut_patches(const Tensor& pixels, int64_t patch) {
  const int64_t batch = pixels.size(0), channels = pixels.size(1);
  const int64_t rows = pixels.size(2) / patch, columns = pixels.size(3) / patch;
  return pixels.reshape({batch, channels, rows, patch, columns, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({batch, rows * columns, channels * patch * patch});
}

}  // namespace pace::kernels
