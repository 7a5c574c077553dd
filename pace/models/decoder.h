#pragma once

#include "pace/models/model.h"

namespace pace {

/// What config.json says of a GPT2LMHeadModel or LlamaForCausalLM.
struct DecoderConfig {
  bool llama = false;  ///< or GPT-2
  int64_t vocabulary = 0;
  int64_t positions = 0;  ///< the most tokens of a sequence
  int64_t dim = 0, layers = 0, hidden = 0;
  int64_t heads = 0, key_heads = 0, head_width = 0;
  bool attention_bias = true, mlp_bias = true;
  bool tied = true;  ///< whether the embeddings are the last layer too
  double norm_epsilon = 1e-5, initializer_range = 0.02;
  double rotary_base = 10000.0;  ///< of Llama

  int64_t query_width() const { return heads * head_width; }
  int64_t key_width() const { return key_heads * head_width; }

  /// Throws Error naming `where` and the field for anything missing, contradictory or unsupported.
  static DecoderConfig from_json(const json& config, const std::string& where);
};

/// A language model with Hugging Face's tensor names. Inputs are int64 [batch, longest, 2], of
/// which the first number is the token's in the vocabulary, -1 after the end of a sequence; logits
/// [batch, longest, vocabulary] are of the token after each one, zeros after the end. With
/// Pass::last_only they are [batch, 1, vocabulary], of the token after the last one. With
/// Pass::memory the inputs go on behind the tokens that it has, which takes them up; a token's
/// logits have the same bits either way.
std::unique_ptr<Model> make_decoder(const json& config, const std::string& where,
                                    std::unique_ptr<Parameters> parameters,
                                    const MapBuilder& build_map, const DepthBuilder& build_depth);

}  // namespace pace
