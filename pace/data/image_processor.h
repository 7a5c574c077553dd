#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "pace/data/resample.h"
#include "pace/io/image.h"

namespace pace {

using nlohmann::json;

/// Pictures to pixel values as `preprocessor_config.json` says: resize (antialiased bilinear or
/// bicubic; to height and width, or the shortest edge), centre crop (zero-padded when the picture
/// is smaller), rescale, normalise. Understands the ViT, DeiT, Bit, CLIP and Blip processors'
/// fields, and gives what Hugging Face's PIL-backed processors give. Two halves, so that training
/// can crop and flip between them. Works in the calling thread only, and may be used from several.
class ImageProcessor {
 public:
  /// `channels` is what the model takes (1 or 3). A field that is absent or null has the default of
  /// the processor named in `image_processor_type`; without that name, size, mean and deviation
  /// must be there. Throws Error for fields that are missing, contradict each other, or ask for
  /// what is not supported.
  ImageProcessor(const json& config, int64_t channels);

  int64_t channels() const { return channels_; }
  int64_t height() const { return height_; }  ///< of the result
  int64_t width() const { return width_; }

  /// Resized and cropped: uint8 [height, width, channels]. Throws Error when resizing is off and
  /// the picture has another size than the result, or when the resized picture would be absurdly
  /// large.
  Image fit(const Image& image) const;
  /// Resized to the result's size whatever its shape (no crop): uint8 [height, width, channels].
  Image stretch(const Image& image) const;
  /// Rescaled and normalised: float [channels, height, width].
  at::Tensor normalize(const Image& fitted) const;
  /// The same into `pixels`, room for channels * height * width values.
  void normalize_into(const Image& fitted, float* pixels) const;
  at::Tensor operator()(const Image& image) const { return normalize(fit(image)); }

  /// The byte of each channel that normalises nearest to zero: what to pad with.
  std::vector<uint8_t> background() const;

  /// The configuration this was made from.
  const json& config() const { return config_; }

 private:
  void read_geometry(const json& fields);
  void read_values(const json& fields);

  json config_;
  int64_t channels_, height_ = 0, width_ = 0;
  bool resize_ = false, crop_ = false;
  int64_t resize_height_ = 0, resize_width_ = 0, shortest_edge_ = 0;
  Filter filter_ = Filter::kBilinear;
  std::vector<float> scale_, shift_;  ///< per channel: value = byte * scale + shift
};

}  // namespace pace
