#pragma once

#include <nlohmann/json.hpp>

#include "pace/io/image.h"

namespace pace {

using nlohmann::json;

/// Pictures to pixel values as `preprocessor_config.json` says: resize (antialiased bilinear or bicubic;
/// to height and width, or the shortest edge), centre crop (zero-padded when the picture is smaller),
/// rescale, normalise. Understands the ViT, DeiT and Bit processors' fields. Two halves, so that training
/// can crop and flip between them.
class ImageProcessor {
 public:
  /// `channels` is what the model takes (1 or 3). Throws Error for fields that are missing, contradict
  /// each other, or ask for what is not supported.
  ImageProcessor(const json& config, int64_t channels);

  int64_t channels() const { return channels_; }
  int64_t height() const { return height_; }  ///< of the result
  int64_t width() const { return width_; }

  /// Resized and cropped: uint8 [height, width, channels].
  Image fit(const Image& image) const;
  /// Rescaled and normalised: float [channels, height, width].
  at::Tensor normalize(const Image& fitted) const;
  at::Tensor operator()(const Image& image) const { return normalize(fit(image)); }

  /// The configuration this was made from.
  const json& config() const { return config_; }

 private:
  json config_;
  int64_t channels_, height_ = 0, width_ = 0;
  // Implementation's own fields follow.
  bool resize_ = false, crop_ = false;
  int64_t resize_height_ = 0, resize_width_ = 0, shortest_edge_ = 0;
  bool bicubic_ = false;
  at::Tensor scale_, shift_;  ///< [channels, 1, 1]: value = byte * scale + shift
};

}  // namespace pace
