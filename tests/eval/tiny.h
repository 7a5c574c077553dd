#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "pace/base/error.h"
#include "pace/data/loader.h"
#include "pace/models/factory.h"

/// A tiny vision transformer with random weights and pictures it can look at.
namespace tiny {

constexpr int64_t kSide = 16, kPatch = 4;

inline pace::json config() {
  return {{"model_type", "vit"},
          {"image_size", kSide},
          {"patch_size", kPatch},
          {"num_channels", 1},
          {"hidden_size", 32},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 2},
          {"intermediate_size", 64},
          {"hidden_act", "gelu"},
          {"layer_norm_eps", 1e-6},
          {"id2label", {{"0", "dark"}, {"1", "grey"}, {"2", "bright"}}},
          {"label2id", {{"dark", 0}, {"grey", 1}, {"bright", 2}}}};
}

inline pace::ImageProcessor processor() {
  return {{{"image_processor_type", "ViTImageProcessor"},
           {"do_resize", true},
           {"size", {{"height", kSide}, {"width", kSide}}},
           {"resample", 2},
           {"do_rescale", true},
           {"rescale_factor", 1.0 / 255},
           {"do_normalize", true},
           {"image_mean", {0.5}},
           {"image_std", {0.5}}},
          1};
}

inline pace::LoadedModel dense() {
  at::set_num_threads(1);  // such small products only wait for each other when shared out
  return pace::build_dense(config(), "test", nullptr, {});
}

inline at::Tensor random(at::IntArrayRef shape, double deviation) {
  return at::randn(shape) * deviation;
}

/// The dense model with random learners and gates whose choices differ from token to token.
inline pace::LoadedModel adaptive() {
  const at::NoGradGuard no_grad;
  at::manual_seed(7);
  const pace::LoadedModel original = dense();
  pace::AcmConfig acm;
  acm.gate_hidden = 4;  // in proportion to the model
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : original.model->parameters().all()) tensors[name] = tensor;
  for (const pace::MapSpec& spec : original.model->maps()) {
    const std::string prefix = pace::acm_prefix(spec);
    const pace::AcmShape shape = acm.shape(spec);
    const int64_t hidden = shape.stacked() * shape.width, gate = shape.gate.hidden;
    const int64_t choices = shape.learners + 1 - shape.gate.minimum;
    tensors[prefix + ".in_weight"] = random({hidden, shape.in}, 0.2);
    tensors[prefix + ".in_bias"] = at::zeros({hidden});
    tensors[prefix + ".centre"] = random({hidden}, 0.2);
    tensors[prefix + ".out_weight"] = random({shape.out, hidden}, 0.1);
    tensors[prefix + ".learner_bias"] = at::zeros({shape.stacked(), shape.out});
    tensors[prefix + ".bias"] = at::zeros({shape.out});
    tensors[prefix + ".dense_weight"] = random({shape.out, shape.in}, 0.2);
    tensors[prefix + ".dense_bias"] = at::zeros({shape.out});
    tensors[prefix + ".gate.in_weight"] = random({gate, shape.in}, 0.5);
    tensors[prefix + ".gate.in_bias"] = at::zeros({gate});
    tensors[prefix + ".gate.budget_weight"] = random({gate}, 0.5);
    tensors[prefix + ".gate.out_weight"] = random({choices, gate}, 0.5);
    tensors[prefix + ".gate.out_bias"] = at::zeros({choices});
  }
  return pace::build_adaptive(config(), acm, [tensors](const std::string& name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? std::nullopt : std::optional(found->second);
  });
}

/// Grey noise, its class by its brightness; number `broken` cannot be read.
class Pictures : public pace::Dataset {
 public:
  explicit Pictures(int64_t size, int64_t broken = -1) : size_(size), broken_(broken) {}

  int64_t size() const override { return size_; }
  pace::Image image(int64_t index) const override {
    if (index == broken_) pace::fail("picture {} is broken", index);
    at::Generator generator = at::detail::createCPUGenerator(100 + index);
    const at::Tensor noise = at::rand({kSide, kSide, 1}, generator);
    return ((noise + static_cast<double>(label(index))) * 85).to(at::kByte);
  }
  int64_t label(int64_t index) const override { return index % 3; }
  std::string name(int64_t index) const override { return "noise #" + std::to_string(index); }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  int64_t size_, broken_;
  std::vector<std::string> classes_{"dark", "grey", "bright"};
};

}  // namespace tiny
