#pragma once

#include "tests/models/small_bert.h"

namespace pace::testing_models {

/// A decoder over the tokens of small_bert.h, of three blocks and at most 40 tokens.
inline json small_decoder_config(bool llama) {
  if (!llama) {
    return {{"model_type", "gpt2"}, {"vocab_size", 50}, {"n_embd", 28},
            {"n_head", 4},          {"n_layer", 3},     {"n_positions", 40}};
  }
  return {{"model_type", "llama"},
          {"vocab_size", 50},
          {"hidden_size", 28},
          {"intermediate_size", 45},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 40},
          {"head_dim", 6}};
}

inline LoadedModel small_decoder(bool llama) {
  LoadedModel made = build_dense(small_decoder_config(llama), "small", nullptr, {});
  randomise(made.model->parameters(), 1);
  return made;
}

}  // namespace pace::testing_models
