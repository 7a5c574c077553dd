#pragma once

#include "pace/data/picture_loader.h"

namespace pace::laws {

/// Noise in three classes, told apart by brightness.
class Pictures : public Dataset {
 public:
  explicit Pictures(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  Image image(int64_t index) const override {
    at::Generator generator =
        at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(index));
    return ((at::rand({28, 28, 1}, generator) + static_cast<double>(label(index))) * 80)
        .to(at::kByte);
  }
  int64_t label(int64_t index) const override { return index % 3; }
  std::string name(int64_t index) const override { return "picture " + std::to_string(index); }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  int64_t size_;
  std::vector<std::string> classes_{"cat", "dog", "eel"};
};

inline ImageProcessor processor() {
  return {{{"image_processor_type", "ViTImageProcessor"},
           {"do_resize", false},
           {"size", {{"height", 28}, {"width", 28}}},
           {"do_rescale", true},
           {"rescale_factor", 1.0 / 255},
           {"do_normalize", true},
           {"image_mean", {0.5}},
           {"image_std", {0.25}}},
          1};
}

inline LoaderOptions batches_of(int64_t size) {
  LoaderOptions options;
  options.batch = size;
  return options;
}

}  // namespace pace::laws
