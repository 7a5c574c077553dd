#include <initializer_list>

#include "pace/base/error.h"
#include "pace/models/decoder.h"
#include "pace/models/fields.h"

namespace pace {

namespace {

/// Fields that change what is computed, with the only values that are.
void check_flags(const json& config, const std::string& where,
                 std::initializer_list<std::pair<const char*, bool>> supported) {
  for (const auto& [field, value] : supported) {
    if (bool_field(config, field, where, value) == value) continue;
    fail("{}: {} is {}; only {} is supported", where, field, !value, value);
  }
}

void check_text(const json& config, const char* field, const std::string& where,
                const char* supported) {
  const std::string value = string_field(config, field, where, supported);
  if (value == supported) return;
  fail("{}: {} is '{}'; only '{}' is supported", where, field, value, supported);
}

/// The base of Llama's rotary embeddings, as transformers writes it before and from version 5.
double rotary_base(const json& config, const std::string& where) {
  constexpr double kUsual = 10000.0;
  double base = non_negative_field(config, "rope_theta", where, kUsual);
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    const auto found = config.find(field);
    if (found == config.end() || found->is_null()) continue;
    const std::string here = where + ": " + field;
    if (!found->is_object()) fail("{} is {}; an object is needed", here, describe(*found));
    for (const char* name : {"rope_type", "type"}) check_text(*found, name, here, "default");
    base = non_negative_field(*found, "rope_theta", here, base);
  }
  if (base <= 0.0) fail("{}: rope_theta is {}; it must be above 0", where, base);
  return base;
}

DecoderConfig gpt2_config(const json& config, const std::string& where) {
  check_text(config, "activation_function", where, "gelu_new");
  check_flags(config, where,
              {{"scale_attn_weights", true},
               {"scale_attn_by_inverse_layer_idx", false},
               {"add_cross_attention", false}});
  DecoderConfig gpt2;
  gpt2.positions = context_field(config, "n_positions", where);
  gpt2.dim = size_field(config, "n_embd", where);
  gpt2.layers = size_field(config, "n_layer", where);
  gpt2.heads = gpt2.key_heads = size_field(config, "n_head", where);
  const auto hidden = config.find("n_inner");
  const bool usual = hidden == config.end() || hidden->is_null();
  gpt2.hidden = usual ? 4 * gpt2.dim : size_field(config, "n_inner", where);
  gpt2.norm_epsilon = non_negative_field(config, "layer_norm_epsilon", where, 1e-5);
  gpt2.tied = bool_field(config, "tie_word_embeddings", where, true);
  check_divisible(gpt2.dim, "n_embd", gpt2.heads, "n_head", where);
  gpt2.head_width = gpt2.dim / gpt2.heads;
  return gpt2;
}

DecoderConfig llama_config(const json& config, const std::string& where) {
  check_text(config, "hidden_act", where, "silu");
  DecoderConfig llama;
  llama.llama = true;
  llama.positions = context_field(config, "max_position_embeddings", where);
  llama.dim = size_field(config, "hidden_size", where);
  llama.layers = size_field(config, "num_hidden_layers", where);
  llama.hidden = size_field(config, "intermediate_size", where);
  llama.heads = size_field(config, "num_attention_heads", where);
  llama.key_heads = size_field(config, "num_key_value_heads", where, llama.heads);
  llama.attention_bias = bool_field(config, "attention_bias", where, false);
  llama.mlp_bias = bool_field(config, "mlp_bias", where, false);
  llama.norm_epsilon = non_negative_field(config, "rms_norm_eps", where, 1e-6);
  llama.tied = bool_field(config, "tie_word_embeddings", where, false);
  llama.rotary_base = rotary_base(config, where);
  check_divisible(llama.heads, "num_attention_heads", llama.key_heads, "num_key_value_heads",
                  where);
  const auto width = config.find("head_dim");
  if (width == config.end() || width->is_null()) {
    check_divisible(llama.dim, "hidden_size", llama.heads, "num_attention_heads", where);
    llama.head_width = llama.dim / llama.heads;
  } else {
    llama.head_width = size_field(config, "head_dim", where);
  }
  check_divisible(llama.head_width, "head_dim", 2,
                  "the halves that are rotated, of which there are", where);
  return llama;
}

}  // namespace

DecoderConfig DecoderConfig::from_json(const json& config, const std::string& where) {
  const bool llama = string_field(config, "model_type", where) == "llama";
  DecoderConfig decoder = llama ? llama_config(config, where) : gpt2_config(config, where);
  decoder.vocabulary = vocabulary_field(config, where);
  decoder.initializer_range = non_negative_field(config, "initializer_range", where, 0.02);
  return decoder;
}

}  // namespace pace
