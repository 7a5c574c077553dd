#pragma once

#include "pace/models/encoder.h"
#include "pace/models/model.h"

namespace pace {

/// What config.json says of a KWTForAudioClassification.
struct KwtConfig {
  int64_t frames = 0, features = 0;  ///< of an input
  int64_t classes = 0;
  EncoderShape encoder;

  /// Throws Error naming `where` and the field for anything missing, contradictory or unsupported.
  static KwtConfig from_json(const json& config, const std::string& where);
};

/// A keyword transformer (Berg, O'Connor and Cruz, Interspeech 2021): each frame of a sound's
/// features is a token, with a class token in front that is classified, and norms behind the
/// residual sums. Tensors are named as a ViT's without its prefix, but for
/// `embeddings.projection`. Its inputs are float [batch, frames, features].
std::unique_ptr<Model> make_kwt(const json& config, const std::string& where,
                                std::unique_ptr<Parameters> parameters, const MapBuilder& build_map,
                                const DepthBuilder& build_depth);

}  // namespace pace
