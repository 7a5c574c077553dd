#include <fmt/format.h>

#include <ranges>

#include "pace/base/error.h"
#include "pace/models/fields.h"
#include "pace/models/wav2vec2.h"

namespace pace {

namespace {

void check_supported(const json& config, const std::string& where) {
  check_activation(config, where);
  const std::string activation = string_field(config, "feat_extract_activation", where, "gelu");
  if (activation != "gelu") {
    fail("{}: feat_extract_activation is '{}'; only 'gelu' is supported", where, activation);
  }
  if (bool_field(config, "add_adapter", where, false)) {
    fail("{}: add_adapter is true; adapters are not supported", where);
  }
  const auto adapters = config.find("adapter_attn_dim");
  if (adapters != config.end() && !adapters->is_null()) {
    fail("{}: adapter_attn_dim is {}; adapters are not supported", where, adapters->dump());
  }
}

/// Whether every convolution has a layer norm.
bool has_layer_norms(const json& config, const std::string& where) {
  const std::string norm = string_field(config, "feat_extract_norm", where, "group");
  if (norm != "group" && norm != "layer") {
    fail("{}: feat_extract_norm is '{}'; supported are 'group' and 'layer'", where, norm);
  }
  return norm == "layer";
}

/// A list of sizes, as the base model has it where the config does not say.
std::vector<int64_t> sizes_field(const json& config, const std::string& field,
                                 const std::string& where, std::vector<int64_t> fallback) {
  if (!config.contains(field)) return fallback;
  std::vector<int64_t> sizes = integers_field(config, field, where);
  for (const int64_t size : sizes) check_size(size, field, where);
  return sizes;
}

std::vector<Wav2Vec2Config::Layer> feature_layers(const json& config, const std::string& where) {
  const auto channels = sizes_field(config, "conv_dim", where, {512, 512, 512, 512, 512, 512, 512});
  const auto sides = sizes_field(config, "conv_kernel", where, {10, 3, 3, 3, 3, 2, 2});
  const auto strides = sizes_field(config, "conv_stride", where, {5, 2, 2, 2, 2, 2, 2});
  if (channels.empty() || sides.size() != channels.size() || strides.size() != channels.size()) {
    fail("{}: conv_dim, conv_kernel and conv_stride have {}, {} and {} layers", where,
         channels.size(), sides.size(), strides.size());
  }
  std::vector<Wav2Vec2Config::Layer> layers;
  for (size_t i = 0; i < channels.size(); ++i) {
    layers.push_back({i == 0 ? 1 : channels[i - 1], channels[i], sides[i], strides[i]});
  }
  return layers;
}

}  // namespace

Wav2Vec2Config Wav2Vec2Config::from_json(const json& config, const std::string& where) {
  if (!config.is_object()) fail("{}: the config must be a JSON object", where);
  check_supported(config, where);
  Wav2Vec2Config speech;
  speech.features = feature_layers(config, where);
  speech.conv_bias = bool_field(config, "conv_bias", where, false);
  speech.layer_norms = has_layer_norms(config, where);
  speech.position_side = size_field(config, "num_conv_pos_embeddings", where, 128);
  speech.position_groups = size_field(config, "num_conv_pos_embedding_groups", where, 16);
  speech.vocabulary = vocabulary_field(config, where);
  EncoderShape& encoder = speech.encoder;
  encoder.post_norm = !bool_field(config, "do_stable_layer_norm", where, false);
  encoder.dim = size_field(config, "hidden_size", where);
  encoder.layers = size_field(config, "num_hidden_layers", where);
  encoder.heads = size_field(config, "num_attention_heads", where);
  encoder.hidden = size_field(config, "intermediate_size", where);
  encoder.norm_epsilon = non_negative_field(config, "layer_norm_eps", where, 1e-5);
  encoder.initializer_range = non_negative_field(config, "initializer_range", where, 0.02);
  check_divisible(encoder.dim, "hidden_size", encoder.heads, "num_attention_heads", where);
  check_divisible(encoder.dim, "hidden_size", speech.position_groups,
                  "num_conv_pos_embedding_groups", where);
  return speech;
}

int64_t Wav2Vec2Config::frames(int64_t samples) const {
  for (const Layer& layer : features) {
    if (samples < layer.side) return 0;
    samples = (samples - layer.side) / layer.stride + 1;
  }
  return samples;
}

int64_t Wav2Vec2Config::least_samples() const {
  int64_t samples = 1;
  for (const Layer& layer : features | std::views::reverse) {
    samples = (samples - 1) * layer.stride + layer.side;
  }
  return samples;
}

int64_t Wav2Vec2Config::feature_macs(int64_t samples) const {
  int64_t macs = 0;
  for (const Layer& layer : features) {
    samples = (samples - layer.side) / layer.stride + 1;
    macs += samples * layer.side * layer.in * layer.out;
  }
  return macs;
}

}  // namespace pace
