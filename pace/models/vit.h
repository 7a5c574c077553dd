#pragma once

#include "pace/models/encoder.h"
#include "pace/models/model.h"

namespace pace {

/// What config.json says of a ViTForImageClassification or Dinov2ForImageClassification.
struct ViTConfig {
  bool dinov2 = false;  ///< layer scale, classifier on class token and mean of patches, other names
  int64_t image_size = 0, patch_size = 0, channels = 3;
  int64_t classes = 0;
  EncoderShape encoder;
  bool mask_token = false;  ///< Dinov2: the folder has one

  /// Throws Error naming `where` and the field for anything missing, contradictory (dim not
  /// divisible by heads, image by patch, ...) or unsupported (SwiGLU, other activations).
  static ViTConfig from_json(const json& config, const std::string& where);
};

/// Vision transformer with Hugging Face's tensor names. Accepts any input whose sides are multiples
/// of the patch (position embeddings are interpolated bicubically, as transformers does).
/// `build_map` makes every MLP and projection, `build_depth` what runs the blocks.
std::unique_ptr<Model> make_vit(const json& config, const std::string& where,
                                std::unique_ptr<Parameters> parameters, const MapBuilder& build_map,
                                const DepthBuilder& build_depth);

}  // namespace pace
