#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "pace/base/random.h"
#include "pace/data/picture_loader.h"
#include "pace/models/factory.h"
#include "pace/train/trainer.h"

namespace pace::toy {

/// Grey pictures of 8x8 pixels in three classes, told apart by which third is bright, with noise.
class Stripes : public Dataset {
 public:
  explicit Stripes(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  int64_t label(int64_t index) const override { return index % 3; }
  std::string name(int64_t index) const override { return "stripes #" + std::to_string(index); }
  const std::vector<std::string>& classes() const override { return classes_; }
  Image image(int64_t index) const override {
    Image image = at::empty({8, 8, 1}, at::kByte);
    auto random = random_for({7, static_cast<uint64_t>(index)});
    auto* pixels = image.mutable_data_ptr<uint8_t>();
    for (int64_t i = 0; i < 64; ++i) {
      const bool bright = (i % 8) * 3 / 8 == label(index);
      pixels[i] = static_cast<uint8_t>((bright ? 120 : 40) + random() % 100);
    }
    return image;
  }

 private:
  int64_t size_;
  std::vector<std::string> classes_{"left", "middle", "right"};
};

inline ImageProcessor processor() {
  return ImageProcessor({{"image_processor_type", "ViTImageProcessor"},
                         {"size", {{"height", 8}, {"width", 8}}},
                         {"resample", 2},
                         {"image_mean", {0.5}},
                         {"image_std", {0.5}}},
                        1);
}

/// Shuffled, and changed at random, so that a resumed run must find its place exactly.
inline PictureLoader loader(int64_t examples = 60, int64_t batch = 12) {
  LoaderOptions options;
  options.batch = batch;
  options.threads = 1;
  options.shuffle = true;
  options.seed = 5;
  options.augment.crop_padding = 1;
  options.augment.mixup = 0.2;
  return PictureLoader(std::make_shared<Stripes>(examples), processor(), options);
}

inline LoadedModel model(uint64_t seed = 3) {
  BuildOptions options;
  options.labels = {"left", "middle", "right"};
  options.seed = seed;
  const json config = {{"model_type", "vit"},
                       {"architectures", {"ViTForImageClassification"}},
                       {"hidden_size", 16},
                       {"num_attention_heads", 2},
                       {"num_hidden_layers", 2},
                       {"intermediate_size", 32},
                       {"patch_size", 4},
                       {"num_channels", 1},
                       {"image_size", 8},
                       {"initializer_range", 0.1},
                       {"id2label", {{"0", "left"}, {"1", "middle"}, {"2", "right"}}}};
  return build_dense(config, "toy", nullptr, options);
}

/// Cross-entropy of pictures with a little noise: an objective that uses its generator.
inline Objective objective(const Model& model) {
  return [&model](const Batch& batch, at::Generator& generator) -> StepFigures {
    Pass pass;
    pass.form = Form::kRelaxed;
    const Tensor noise = at::randn(batch.inputs.sizes(), generator) * 0.05;
    const Tensor logits = model.forward(batch.inputs + noise, pass).to(at::kFloat);
    const Tensor loss = at::cross_entropy_loss(logits, batch.targets);
    loss.backward();
    const Tensor right = logits.detach().argmax(1) == batch.labels;
    return {{"loss", loss.item<double>()},
            {"accuracy", right.to(at::kFloat).mean().item<double>()}};
  };
}

inline NamedTensors copy(const NamedTensors& tensors) {
  NamedTensors copies;
  for (const auto& [name, tensor] : tensors) copies.emplace_back(name, tensor.detach().clone());
  return copies;
}

/// Whether two lists hold the same names and the same bits.
inline bool same(const NamedTensors& a, const NamedTensors& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].first != b[i].first || !a[i].second.equal(b[i].second)) return false;
  }
  return true;
}

/// A run of three phases over one model: the classifier, the blocks, everything.
inline void train_phases(LoadedModel& loaded, Trainer& trainer, double checkpoint_seconds = 1e9,
                         double epochs = 1.4) {
  const NamedTensors& all = loaded.model->parameters().all();
  NamedTensors head, blocks;
  for (const auto& parameter : all) {
    (parameter.first.starts_with("classifier.") ? head : blocks).push_back(parameter);
  }
  PictureLoader batches = loader();
  PhaseOptions options;
  options.epochs = epochs;
  options.warmup_steps = 2;
  options.checkpoint_seconds = checkpoint_seconds;
  options.seed = 11;
  const Objective loss = objective(*loaded.model);
  options.name = "head";
  trainer.run(options, batches, {{head, 1e-2, 0.0}}, loss);
  options.name = "blocks";
  trainer.run(options, batches, {{blocks, 1e-3, 0.01}}, loss);
  options.name = "all";
  trainer.run(options, batches, {{blocks, 1e-3, 0.01}, {head, 3e-3, 0.0}}, loss, [](int64_t epoch) {
    return StepFigures{{"held_out", static_cast<double>(epoch)}};
  });
}

inline const std::vector<std::string> kPhases{"head", "blocks", "all"};

}  // namespace pace::toy
