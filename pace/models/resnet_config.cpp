#include <functional>
#include <numeric>

#include "pace/base/error.h"
#include "pace/models/fields.h"
#include "pace/models/labels.h"
#include "pace/models/resnet.h"

namespace pace {

namespace {

/// A list of as many sizes as there are stages.
std::vector<int64_t> sizes_field(const json& config, const std::string& field, size_t stages,
                                 const std::string& where) {
  const auto list = config.find(field);
  if (list == config.end()) fail("{}: field '{}' is missing", where, field);
  if (!list->is_array() || list->empty() || (stages > 0 && list->size() != stages)) {
    fail("{}: {} is {}; it must be a list of numbers, one for each stage", where, field,
         describe(*list));
  }
  std::vector<int64_t> sizes;
  for (const json& value : *list) {
    if (!value.is_number_integer()) {
      fail("{}: {} holds {}; whole numbers are wanted", where, field, describe(value));
    }
    sizes.push_back(check_size(value.get<int64_t>(), field, where));
  }
  return sizes;
}

/// The first stride of each stage: HF's default halves the sides before every stage but the first.
std::vector<int64_t> stage_strides(const json& config, size_t stages, const std::string& where) {
  if (config.contains("stage_strides")) return sizes_field(config, "stage_strides", stages, where);
  std::vector<int64_t> strides(stages, 2);
  strides.front() = 1;
  return strides;
}

/// Throws Error where a field asks for something else than `supported`.
void check_choice(const json& config, const char* field, const std::string& supported,
                  const std::string& where) {
  const std::string value = string_field(config, field, where, supported);
  if (value != supported) fail("{}: {} is '{}'; supported is '{}'", where, field, value, supported);
}

void check_supported(const json& config, bool cifar, const std::string& where) {
  check_choice(config, "hidden_act", "relu", where);
  check_choice(config, "shortcut_type", cifar ? "A" : "B", where);
  check_choice(config, "global_pool", "avg", where);
  if (bool_field(config, "conv_bias", where, false)) {
    fail("{}: conv_bias is true; convolutions with a bias are not supported", where);
  }
}

/// Option A puts zeros before and behind the channels of a shortcut, as many on each side.
void check_shortcuts(const ResNetConfig& resnet, const std::string& where) {
  int64_t before = resnet.stem;
  for (const int64_t width : resnet.widths) {
    if (resnet.cifar && (width < before || (width - before) % 2 != 0)) {
      fail("{}: hidden_sizes go from {} to {}; shortcuts of type A need an even number more", where,
           before, width);
    }
    if (resnet.bottleneck) check_divisible(width, "hidden_sizes", 4, "the bottleneck", where);
    before = width;
  }
}

}  // namespace

int64_t ResNetConfig::reduction() const {
  return std::accumulate(strides.begin(), strides.end(), int64_t{cifar ? 1 : 4},
                         std::multiplies<>());
}

ResNetConfig ResNetConfig::from_json(const json& config, const std::string& where) {
  if (!config.is_object()) fail("{}: the config must be a JSON object", where);
  ResNetConfig resnet;
  resnet.cifar = string_field(config, "model_type", where) == "resnet-cifar";
  check_supported(config, resnet.cifar, where);
  const std::string kind = string_field(config, "layer_type", where);
  if (kind != "basic" && kind != "bottleneck") {
    fail("{}: layer_type is '{}'; supported are 'basic' and 'bottleneck'", where, kind);
  }
  resnet.bottleneck = kind == "bottleneck";
  resnet.channels = size_field(config, "num_channels", where, 3);
  resnet.stem = size_field(config, "embedding_size", where);
  resnet.depths = sizes_field(config, "depths", 0, where);
  resnet.widths = sizes_field(config, "hidden_sizes", resnet.depths.size(), where);
  resnet.strides = stage_strides(config, resnet.depths.size(), where);
  resnet.classes = static_cast<int64_t>(class_labels(config, where).size());
  resnet.epsilon = non_negative_field(config, "batch_norm_eps", where, 1e-5);
  resnet.momentum = non_negative_field(config, "batch_norm_momentum", where, 0.1);
  check_shortcuts(resnet, where);
  return resnet;
}

}  // namespace pace
