#include <cmath>

#include "pace/base/error.h"
#include "pace/io/model_folder.h"
#include "pace/models/labels.h"
#include "pace/models/vit.h"

namespace pace {

namespace {

/// No size of a real vision transformer comes near; larger ones would only overflow products of
/// sizes.
constexpr int64_t kLargestSize = 65536;

int64_t in_range(int64_t value, const std::string& field, const std::string& where) {
  if (value < 1 || value > kLargestSize) {
    fail("{}: {} is {}; it must lie in 1..{}", where, field, value, kLargestSize);
  }
  return value;
}

int64_t size_field(const json& config, const std::string& field, const std::string& where) {
  return in_range(integer_field(config, field, where), field, where);
}

/// A side that transformers allows to be written as a number or as [height, width].
int64_t square_field(const json& config, const std::string& field, const std::string& where) {
  const auto value = config.find(field);
  if (value == config.end() || !value->is_array()) return size_field(config, field, where);
  if (value->size() != 2 || !value->at(0).is_number_integer() || value->at(0) != value->at(1)) {
    fail("{}: {} is {}; only squares are supported, such as 224 or [224, 224]", where, field,
         value->dump());
  }
  return in_range(value->at(0).get<int64_t>(), field, where);
}

double non_negative(const json& config, const std::string& field, const std::string& where,
                    double fallback) {
  const double value = number_field(config, field, where, fallback);
  if (!std::isfinite(value) || value < 0.0) {
    fail("{}: {} is {}; it must be a number from 0 on", where, field, value);
  }
  return value;
}

bool is_dinov2(const json& config, const std::string& where) {
  const std::string type = string_field(config, "model_type", where);
  if (type != "vit" && type != "dinov2") {
    fail("{}: model_type is '{}'; supported are 'vit' and 'dinov2'", where, type);
  }
  return type == "dinov2";
}

int64_t hidden_units(const json& config, const std::string& where, bool dinov2, int64_t dim) {
  if (!dinov2) return size_field(config, "intermediate_size", where);
  const double ratio = number_field(config, "mlp_ratio", where, 4.0);
  const double units = std::floor(static_cast<double>(dim) * ratio);
  if (!(units >= 1.0 && units <= kLargestSize)) {
    fail("{}: mlp_ratio is {}, which gives the MLP {} hidden units; 1..{} are supported", where,
         ratio, units, kLargestSize);
  }
  return static_cast<int64_t>(units);
}

void check_supported(const json& config, const std::string& where) {
  const std::string activation = string_field(config, "hidden_act", where, "gelu");
  if (activation != "gelu") {
    fail("{}: hidden_act is '{}'; only 'gelu' is supported", where, activation);
  }
  if (bool_field(config, "use_swiglu_ffn", where, false)) {
    fail("{}: use_swiglu_ffn is true; SwiGLU feed-forward layers are not supported", where);
  }
}

void check_divisible(int64_t whole, const char* whole_name, int64_t part, const char* part_name,
                     const std::string& where) {
  if (whole % part != 0) {
    fail("{}: {} {} is not divisible by {} {}", where, whole_name, whole, part_name, part);
  }
}

}  // namespace

ViTConfig ViTConfig::from_json(const json& config, const std::string& where) {
  if (!config.is_object()) fail("{}: the config must be a JSON object", where);
  ViTConfig vit;
  vit.dinov2 = is_dinov2(config, where);
  check_supported(config, where);
  vit.image_size = square_field(config, "image_size", where);
  vit.patch_size = square_field(config, "patch_size", where);
  vit.channels = in_range(integer_field(config, "num_channels", where, 3), "num_channels", where);
  vit.dim = size_field(config, "hidden_size", where);
  vit.layers = size_field(config, "num_hidden_layers", where);
  vit.heads = size_field(config, "num_attention_heads", where);
  vit.hidden = hidden_units(config, where, vit.dinov2, vit.dim);
  vit.classes = static_cast<int64_t>(class_labels(config, where).size());
  vit.qkv_bias = bool_field(config, "qkv_bias", where, true);
  vit.mask_token = vit.dinov2 && bool_field(config, "use_mask_token", where, true);
  vit.norm_epsilon = non_negative(config, "layer_norm_eps", where, vit.dinov2 ? 1e-6 : 1e-12);
  vit.initializer_range = non_negative(config, "initializer_range", where, 0.02);
  vit.layer_scale = number_field(config, "layerscale_value", where, 1.0);
  check_divisible(vit.dim, "hidden_size", vit.heads, "num_attention_heads", where);
  check_divisible(vit.image_size, "image_size", vit.patch_size, "patch_size", where);
  return vit;
}

}  // namespace pace
