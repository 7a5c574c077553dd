#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "tests/models/small_models.h"

namespace pace::testing_models {

/// The config of a tiny speech recogniser, of the base or the large variant.
inline json small_wav2vec2_config(bool large = false) {
  json config = {{"model_type", "wav2vec2"},
                 {"architectures", {"Wav2Vec2ForCTC"}},
                 {"vocab_size", 7},
                 {"hidden_size", 24},
                 {"num_attention_heads", 3},
                 {"num_hidden_layers", 2},
                 {"intermediate_size", 36},
                 {"conv_dim", {9, 12, 10}},
                 {"conv_kernel", {10, 3, 2}},
                 {"conv_stride", {5, 2, 2}},
                 {"num_conv_pos_embeddings", 6},
                 {"num_conv_pos_embedding_groups", 3}};
  if (large) {
    config.update(
        {{"feat_extract_norm", "layer"}, {"conv_bias", true}, {"do_stable_layer_norm", true}});
  }
  return config;
}

inline LoadedModel small_wav2vec2(bool large = false, uint64_t seed = 1) {
  LoadedModel made = build_dense(small_wav2vec2_config(large), "small", nullptr, {});
  randomise(made.model->parameters(), seed);
  return made;
}

/// Random sounds of these lengths: float [batch, longest], NaN after the end of each.
inline Tensor sounds_of(const std::vector<int64_t>& lengths, uint64_t seed) {
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const Tensor sounds =
      at::randn({std::ssize(lengths), longest}, at::make_generator<at::CPUGeneratorImpl>(seed));
  for (size_t i = 0; i < lengths.size(); ++i) {
    sounds[static_cast<int64_t>(i)]
        .slice(0, lengths[i])
        .fill_(std::numeric_limits<double>::quiet_NaN());
  }
  return sounds;
}

}  // namespace pace::testing_models
