#include <cmath>

#include "pace/base/error.h"
#include "pace/models/fields.h"
#include "pace/models/labels.h"
#include "pace/models/vit.h"

namespace pace {

namespace {

/// A side that transformers allows to be written as a number or as [height, width].
int64_t square_field(const json& config, const std::string& field, const std::string& where) {
  const auto value = config.find(field);
  if (value == config.end() || !value->is_array()) return size_field(config, field, where);
  if (value->size() != 2 || !value->at(0).is_number_integer() || value->at(0) != value->at(1)) {
    fail("{}: {} is {}; only squares are supported, such as 224 or [224, 224]", where, field,
         value->dump());
  }
  return check_size(value->at(0).get<int64_t>(), field, where);
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
  if (!(std::abs(units) < 1e9))
    fail("{}: mlp_ratio is {}; a number such as 4 is wanted", where, ratio);
  return check_size(static_cast<int64_t>(units), "the MLP's width (hidden_size * mlp_ratio)",
                    where);
}

void check_supported(const json& config, const std::string& where) {
  check_activation(config, where);
  if (bool_field(config, "use_swiglu_ffn", where, false)) {
    fail("{}: use_swiglu_ffn is true; SwiGLU feed-forward layers are not supported", where);
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
  vit.channels = size_field(config, "num_channels", where, 3);
  EncoderShape& encoder = vit.encoder;
  encoder.dim = size_field(config, "hidden_size", where);
  encoder.layers = size_field(config, "num_hidden_layers", where);
  encoder.heads = size_field(config, "num_attention_heads", where);
  encoder.hidden = hidden_units(config, where, vit.dinov2, encoder.dim);
  vit.classes = static_cast<int64_t>(class_labels(config, where).size());
  encoder.qkv_bias = bool_field(config, "qkv_bias", where, true);
  vit.mask_token = vit.dinov2 && bool_field(config, "use_mask_token", where, true);
  encoder.norm_epsilon =
      non_negative_field(config, "layer_norm_eps", where, vit.dinov2 ? 1e-6 : 1e-12);
  encoder.initializer_range = non_negative_field(config, "initializer_range", where, 0.02);
  encoder.layer_scale = number_field(config, "layerscale_value", where, 1.0);
  check_divisible(encoder.dim, "hidden_size", encoder.heads, "num_attention_heads", where);
  check_divisible(vit.image_size, "image_size", vit.patch_size, "patch_size", where);
  return vit;
}

}  // namespace pace
