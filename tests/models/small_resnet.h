#pragma once

#include "tests/models/small_models.h"

namespace pace::testing_models {

/// A residual network for pictures of one channel, with three classes.
inline json small_resnet_config(bool bottleneck = false) {
  json config = {{"num_channels", 1},
                 {"depths", {2, 4}},
                 {"stage_strides", {1, 2}},
                 {"id2label", {{"0", "cat"}, {"1", "dog"}, {"2", "eel"}}}};
  if (bottleneck) {
    config.update({{"model_type", "resnet-torchvision"},
                   {"layer_type", "bottleneck"},
                   {"embedding_size", 8},
                   {"hidden_sizes", {12, 20}}});
  } else {
    config.update({{"model_type", "resnet-cifar"},
                   {"layer_type", "basic"},
                   {"embedding_size", 6},
                   {"hidden_sizes", {6, 10}}});
  }
  return config;
}

inline LoadedModel small_resnet(bool bottleneck = false) {
  LoadedModel made = build_dense(small_resnet_config(bottleneck), "small", nullptr, {});
  const at::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(2);
  for (const auto& [name, tensor] : made.model->parameters().all()) {
    const Tensor noise = at::randn(tensor.sizes(), generator) * 0.1;
    tensor.add_(name.ends_with("running_var") ? noise.abs() : noise);
  }
  return made;
}

}  // namespace pace::testing_models
