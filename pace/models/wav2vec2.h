#pragma once

#include "pace/models/encoder.h"
#include "pace/models/model.h"

namespace pace {

/// What config.json says of a Wav2Vec2ForCTC.
struct Wav2Vec2Config {
  /// One convolution of the feature encoder.
  struct Layer {
    int64_t in = 0, out = 0;  ///< channels; those of the first are the sound
    int64_t side = 0, stride = 0;
  };
  std::vector<Layer> features = {};
  bool conv_bias = false;
  /// Whether a layer norm follows each convolution, as in the large models, or a group norm the
  /// first one only.
  bool layer_norms = false;
  int64_t position_side = 0, position_groups = 0;  ///< of the positional convolution
  int64_t vocabulary = 0;
  EncoderShape encoder = {};

  /// Throws Error naming `where` and the field for anything missing, contradictory or unsupported.
  static Wav2Vec2Config from_json(const json& config, const std::string& where);

  /// How many frames a sound of so many samples becomes; 0 if it is too short for one.
  int64_t frames(int64_t samples) const;
  int64_t least_samples() const;  ///< that become a frame
  /// MACs of the feature encoder for a sound of so many samples.
  int64_t feature_macs(int64_t samples) const;
};

/// A speech recogniser (Baevski et al., NeurIPS 2020, arXiv 2006.11477): convolutions from the
/// waveform to a frame every 20 ms or so, a convolution that tells frames their places, a
/// transformer encoder, and a linear head whose logits are decoded by connectionist temporal
/// classification. Tensors are named as in Hugging Face transformers.
///
/// Inputs are float [batch, longest], the samples of a sound and NaN after its end. Logits are
/// float [batch, longest frames, vocabulary], zeros after a sound's last frame; the pass's
/// sequences say how many it has. A sound's answer has the same bits in any batch, as nothing is
/// computed for what stands after its end: also a group norm's mean is that of the sound alone. A
/// forward pass throws Error for sounds too short for a frame.
std::unique_ptr<Model> make_wav2vec2(const json& config, const std::string& where,
                                     std::unique_ptr<Parameters> parameters,
                                     const MapBuilder& build_map, const DepthBuilder& build_depth);

}  // namespace pace
