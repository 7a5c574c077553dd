#include "pace/kernels/dense.h"

namespace pace::kernels {

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
  return at::scaled_dot_product_attention(query, key, value, mask);
}

Tensor patch_embedding(const Tensor& pixels, const Tensor& weight, const Tensor& bias,
                       MacCounter& counter) {
  const int64_t batch = pixels.size(0), channels = pixels.size(1), patch = weight.size(2);
  const int64_t rows = pixels.size(2) / patch, columns = pixels.size(3) / patch;
  // A convolution whose stride is its kernel is one matrix product over cut-out patches.
  const Tensor patches = pixels.reshape({batch, channels, rows, patch, columns, patch})
                             .permute({0, 2, 4, 1, 3, 5})
                             .reshape({batch, rows * columns, channels * patch * patch});
  return linear(patches, weight.flatten(1), bias, counter);
}

}  // namespace pace::kernels
