#pragma once

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <string>

#include "pace/models/factory.h"
#include "tests/temporary_folder.h"

namespace pace::testing_models {

/// The config of a tiny ViT or Dinov2 with odd sizes and three classes.
inline json small_config(bool dinov2 = false) {
  json config = {{"hidden_size", 40},
                 {"num_attention_heads", 5},
                 {"num_hidden_layers", 2},
                 {"patch_size", 7},
                 {"num_channels", 1},
                 {"image_size", 28},
                 {"id2label", {{"0", "cat"}, {"1", "dog"}, {"2", "eel"}}}};
  if (dinov2) {
    config.update({{"model_type", "dinov2"},
                   {"architectures", {"Dinov2ForImageClassification"}},
                   {"mlp_ratio", 4}});
  } else {
    config.update({{"model_type", "vit"},
                   {"architectures", {"ViTForImageClassification"}},
                   {"intermediate_size", 52}});
  }
  return config;
}

/// Weights of which every one matters: initial ones are so small that errors would drown.
inline void randomise(Parameters& parameters, uint64_t seed) {
  const at::NoGradGuard no_grad;
  at::manual_seed(seed);
  for (const auto& [name, tensor] : parameters.all()) {
    const double scale = tensor.dim() > 1 ? 1.2 / std::sqrt(tensor[0].numel()) : 0.3;
    tensor.copy_(at::randn_like(tensor) * scale + (name.ends_with("norm.weight") ? 1.0 : 0.0));
  }
}

inline LoadedModel small_model(bool dinov2 = false, uint64_t seed = 1) {
  LoadedModel made = build_dense(small_config(dinov2), "small", nullptr, {});
  randomise(made.model->parameters(), seed);
  return made;
}

inline Tensor logits_of(const Model& model, const Tensor& pixels, double* macs = nullptr) {
  const at::NoGradGuard no_grad;
  Pass pass;
  const Tensor logits = model.forward(pixels, pass);
  if (macs) *macs = pass.ledger.macs().sum().item<double>();
  return logits;
}

}  // namespace pace::testing_models
