#include "pace/data/image_processor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "pace/base/error.h"
#include "pace/io/json.h"

namespace pace {
namespace {

const std::string kWhere = "preprocessor_config.json";
constexpr int64_t kMostPixels = 1 << 16;  // per edge, of a model's input

/// What the processor classes of Hugging Face assume for absent fields.
json defaults_of(const std::string& kind) {
  const json clip_mean = {0.48145466, 0.4578275, 0.40821073};
  const json clip_std = {0.26862954, 0.26130258, 0.27577711};
  if (kind == "ViT") {
    return {{"size", 224}, {"resample", 2}, {"image_mean", 0.5}, {"image_std", 0.5}};
  }
  if (kind == "DeiT") {
    return {{"size", 256},       {"resample", 3},   {"crop_size", 224}, {"do_center_crop", true},
            {"image_mean", 0.5}, {"image_std", 0.5}};
  }
  if (kind == "Bit" || kind == "CLIP") {
    return {{"size", 224},          {"default_to_square", false}, {"resample", 3},
            {"crop_size", 224},     {"do_center_crop", true},     {"image_mean", clip_mean},
            {"image_std", clip_std}};
  }
  if (kind == "Blip") {
    return {{"size", 384}, {"resample", 3}, {"image_mean", clip_mean}, {"image_std", clip_std}};
  }
  if (kind == "Cifar") {
    return {{"size", 32}, {"do_resize", false}, {"image_mean", 0.5}, {"image_std", 0.5}};
  }
  fail(
      "{}: image processor '{}' is not supported; supported are ViT, DeiT, Bit, CLIP, Blip and "
      "Cifar",
      kWhere, kind);
}

/// "ViTImageProcessorFast" -> "ViT"; empty when the file names no processor.
std::string kind_of(const json& config) {
  for (const char* field : {"image_processor_type", "feature_extractor_type"}) {
    std::string name = string_field(config, field, kWhere, "");
    for (const char* suffix : {"ImageProcessor", "FeatureExtractor"}) {
      if (const auto at = name.find(suffix); at != std::string::npos) name.resize(at);
    }
    if (!name.empty()) return name;
  }
  return "";
}

/// The fields that are set, over the defaults of the processor.
json with_defaults(const json& config) {
  if (!config.is_object()) {
    fail("{} must be a JSON object, not {}", kWhere, config.type_name());
  }
  json set = json::object();
  for (const auto& [field, value] : config.items()) {
    if (!value.is_null()) set[field] = value;
  }
  const std::string kind = kind_of(set);
  json fields = kind.empty() ? json::object() : defaults_of(kind);
  fields.update(set);
  return fields;
}

const json& required(const json& fields, const std::string& field, const std::string& why) {
  const auto found = fields.find(field);
  if (found == fields.end())
    fail("{}: field '{}' is missing; it is needed because {}", kWhere, field, why);
  return *found;
}

int64_t edge(const json& value, const std::string& field) {
  if (value.is_number_integer()) {
    const auto pixels = value.get<int64_t>();
    if (pixels >= 1 && pixels <= kMostPixels) return pixels;
  }
  fail("{}: {} is {}; it must be a whole number of pixels from 1 to {}", kWhere, field,
       value.dump(), kMostPixels);
}

struct Size {
  int64_t height = 0, width = 0, shortest_edge = 0;  // either the first two or the last
};

/// {"height", "width"}, {"shortest_edge"}, [height, width], or one number.
Size read_size(const json& fields, const std::string& field, bool square, const std::string& why) {
  const json& value = required(fields, field, why);
  if (value.is_array() && value.size() == 2) {
    return {edge(value[0], field + "[0]"), edge(value[1], field + "[1]"), 0};
  }
  if (!value.is_object()) {
    const int64_t pixels = edge(value, field);
    return square ? Size{pixels, pixels, 0} : Size{0, 0, pixels};
  }
  // null stands for absent inside the dictionaries as well.
  std::vector<std::string> keys;
  for (const auto& [key, entry] : value.items()) {
    if (!entry.is_null()) keys.push_back(key);
  }
  if (keys == std::vector<std::string>{"height", "width"}) {
    return {edge(value["height"], field + ".height"), edge(value["width"], field + ".width"), 0};
  }
  if (keys == std::vector<std::string>{"shortest_edge"}) {
    return {0, 0, edge(value["shortest_edge"], field + ".shortest_edge")};
  }
  fail("{}: {} is {}; supported are height and width, or shortest_edge alone", kWhere, field,
       value.dump());
}

Filter read_filter(const json& fields) {
  const int64_t resample = integer_field(fields, "resample", kWhere, 2);
  if (resample == 2) return Filter::kBilinear;
  if (resample == 3) return Filter::kBicubic;
  fail("{}: resample is {}; supported are 2 (bilinear) and 3 (bicubic)", kWhere, resample);
}

/// One number per channel, from one number or a list.
std::vector<double> per_channel(const json& fields, const std::string& field, int64_t channels) {
  const json& value = required(fields, field, "do_normalize is true");
  const json list = value.is_array() ? value : json::array({value});
  if (list.size() != 1 && list.size() != static_cast<size_t>(channels)) {
    fail("{}: {} has {} values, but the model takes {} channels; give one value or {}", kWhere,
         field, list.size(), channels, channels);
  }
  std::vector<double> values;
  for (int64_t c = 0; c < channels; ++c) {
    const json& entry = list[list.size() == 1 ? 0 : static_cast<size_t>(c)];
    if (!entry.is_number() || !std::isfinite(entry.get<double>())) {
      fail("{}: {} is {}; it must hold finite numbers", kWhere, field, value.dump());
    }
    values.push_back(entry.get<double>());
  }
  return values;
}

/// As transformers crops: a smaller picture is centred on black first, odd differences rounded up
/// there.
Image center_crop(const Image& image, int64_t height, int64_t width) {
  // Position of the result's first pixel in the picture; negative where black comes before it.
  const auto offset = [](int64_t in, int64_t out) {
    return in >= out ? (in - out) / 2 : -((out - in + 1) / 2);
  };
  return crop(image, offset(image.size(0), height), offset(image.size(1), width), height, width);
}

}  // namespace

ImageProcessor::ImageProcessor(const json& config, int64_t channels)
    : config_(config), channels_(channels) {
  if (channels != 1 && channels != 3) {
    fail("the model takes pictures of {} channels; supported are 1 (grey) and 3 (RGB)", channels);
  }
  const json fields = with_defaults(config);
  if (channels == 1 && bool_field(fields, "do_convert_rgb", kWhere, false)) {
    fail("{}: do_convert_rgb is true, but the model takes 1 channel; set it to false", kWhere);
  }
  if (bool_field(fields, "do_pad", kWhere, false)) {
    fail("{}: do_pad is true; padding is not supported, set it to false", kWhere);
  }
  read_geometry(fields);
  read_values(fields);
}

void ImageProcessor::read_geometry(const json& fields) {
  resize_ = bool_field(fields, "do_resize", kWhere, true);
  crop_ = bool_field(fields, "do_center_crop", kWhere, false);
  filter_ = read_filter(fields);
  Size result;
  if (resize_ || !crop_) {
    const bool square = bool_field(fields, "default_to_square", kWhere, true);
    result = read_size(fields, "size", square, "the model's input must have one size");
    resize_height_ = result.height;
    resize_width_ = result.width;
    shortest_edge_ = result.shortest_edge;
  }
  if (crop_) result = read_size(fields, "crop_size", true, "do_center_crop is true");
  if (result.shortest_edge > 0) {
    fail("{}: {} gives only the shortest edge, so results would differ in size; {}", kWhere,
         crop_ ? "crop_size" : "size",
         crop_ ? "give height and width"
               : "give height and width, or set do_center_crop and crop_size");
  }
  height_ = result.height;
  width_ = result.width;
}

void ImageProcessor::read_values(const json& fields) {
  const bool rescale = bool_field(fields, "do_rescale", kWhere, true);
  const double factor = rescale ? number_field(fields, "rescale_factor", kWhere, 1.0 / 255.0) : 1.0;
  if (!std::isfinite(factor) || factor <= 0.0) {
    fail("{}: rescale_factor is {}; it must be a positive number, usually 1/255", kWhere, factor);
  }
  const auto count = static_cast<size_t>(channels_);
  std::vector<double> mean(count, 0.0), deviation(count, 1.0);
  if (bool_field(fields, "do_normalize", kWhere, true)) {
    mean = per_channel(fields, "image_mean", channels_);
    deviation = per_channel(fields, "image_std", channels_);
  }
  for (size_t c = 0; c < count; ++c) {
    if (deviation[c] <= 0.0) {
      fail("{}: image_std holds {}; it must be positive", kWhere, deviation[c]);
    }
    scale_.push_back(static_cast<float>(factor / deviation[c]));
    shift_.push_back(static_cast<float>(-mean[c] / deviation[c]));
  }
}

Image ImageProcessor::fit(const Image& image) const {
  // Grey is widened last (three equal channels resize alike), colour reduced first, as PIL would.
  Image result = image.size(2) > channels_ ? with_channels(image, channels_) : image;
  const int64_t height = result.size(0), width = result.size(1);
  if (resize_ && shortest_edge_ > 0) {
    const int64_t shorter = std::min(height, width), longer = std::max(height, width);
    const auto other = static_cast<int64_t>(static_cast<double>(shortest_edge_ * longer) /
                                            static_cast<double>(shorter));
    result = width <= height ? resample(result, other, shortest_edge_, filter_)
                             : resample(result, shortest_edge_, other, filter_);
  } else if (resize_) {
    result = resample(result, resize_height_, resize_width_, filter_);
  }
  if (crop_) result = center_crop(result, height_, width_);
  if (result.size(0) != height_ || result.size(1) != width_) {
    fail(
        "the picture has {}x{} pixels, the model takes {}x{}, and {} turns resizing off; set "
        "do_resize",
        width, height, width_, height_, kWhere);
  }
  return with_channels(result, channels_).contiguous();
}

Image ImageProcessor::stretch(const Image& image) const {
  const Image source = image.size(2) > channels_ ? with_channels(image, channels_) : image;
  return with_channels(resample(source, height_, width_, filter_), channels_).contiguous();
}

void ImageProcessor::normalize_into(const Image& fitted, float* pixels) const {
  const Image source = fitted.contiguous();
  const uint8_t* in = source.const_data_ptr<uint8_t>();
  const int64_t count = height_ * width_;
  for (int64_t c = 0; c < channels_; ++c) {
    const float scale = scale_[static_cast<size_t>(c)], shift = shift_[static_cast<size_t>(c)];
    for (int64_t i = 0; i < count; ++i) {
      *pixels++ = static_cast<float>(in[i * channels_ + c]) * scale + shift;
    }
  }
}

at::Tensor ImageProcessor::normalize(const Image& fitted) const {
  const std::vector<int64_t> expected = {height_, width_, channels_};
  if (fitted.scalar_type() != at::kByte || fitted.sizes() != at::IntArrayRef(expected)) {
    fail("a fitted picture must be bytes of shape {}, not {} of shape {}", expected,
         c10::toString(fitted.scalar_type()), fitted.sizes().vec());
  }
  at::Tensor pixels = at::empty({channels_, height_, width_}, at::kFloat);
  normalize_into(fitted, pixels.mutable_data_ptr<float>());
  return pixels;
}

std::vector<uint8_t> ImageProcessor::background() const {
  std::vector<uint8_t> bytes;
  for (size_t c = 0; c < scale_.size(); ++c) {
    bytes.push_back(
        static_cast<uint8_t>(std::clamp(std::round(-shift_[c] / scale_[c]), 0.0f, 255.0f)));
  }
  return bytes;
}

}  // namespace pace
