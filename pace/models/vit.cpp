#include "pace/models/vit.h"

#include <fmt/ranges.h>

#include <utility>

#include "pace/base/error.h"
#include "pace/models/encoder.h"
#include "pace/models/labels.h"

namespace pace {

namespace {

/// In front of the names of all tensors but the classifier's.
const char* prefix_of(const ViTConfig& config) { return config.dinov2 ? "dinov2." : "vit."; }

BlockNames block_names(const ViTConfig& config, int64_t index) {
  const std::string layer = fmt::format("{}encoder.layer.{}.", prefix_of(config), index);
  BlockNames names;
  names.query = layer + "attention.attention.query";
  names.key = layer + "attention.attention.key";
  names.value = layer + "attention.attention.value";
  names.output = layer + "attention.output.dense";
  names.norm1 = layer + (config.dinov2 ? "norm1" : "layernorm_before");
  names.norm2 = layer + (config.dinov2 ? "norm2" : "layernorm_after");
  names.mlp_in = layer + (config.dinov2 ? "mlp.fc1" : "intermediate.dense");
  names.mlp_out = layer + (config.dinov2 ? "mlp.fc2" : "output.dense");
  if (config.dinov2) {
    names.scale1 = layer + "layer_scale1.lambda1";
    names.scale2 = layer + "layer_scale2.lambda1";
  }
  return names;
}

/// Position embeddings [1 + side*side, dim] to train from scratch with: zeros for the class token,
/// then a quarter of the width each for the sine and cosine of both coordinates at frequencies
/// falling from 1 to 1/100 (as in arXiv 2205.01580, but for grids of few patches).
Tensor position_waves(int64_t side, int64_t dim) {
  const int64_t quarter = dim / 4;
  const Tensor waves = at::zeros({1 + side * side, dim});
  const Tensor rate = at::pow(100.0, -at::arange(quarter) / static_cast<double>(quarter));
  const Tensor angle = at::outer(at::arange(side).to(at::kFloat), rate);  // [side, quarter]
  const Tensor line = at::cat({angle.sin(), angle.cos()}, 1);
  const Tensor grid = at::cat(
      {line.unsqueeze(1).expand({side, side, -1}), line.unsqueeze(0).expand({side, side, -1})}, 2);
  waves.slice(0, 1).slice(1, 0, 4 * quarter).copy_(grid.flatten(0, 1));
  return waves;
}

/// From pixels to tokens: class token, then patches by rows, with their position embeddings.
class Embeddings {
 public:
  Embeddings(const ViTConfig& config, Parameters& parameters)
      : side_(config.image_size / config.patch_size), patch_(config.patch_size) {
    const int64_t dim = config.encoder.dim;
    const std::string prefix = std::string(prefix_of(config)) + "embeddings.";
    const Initial normal = Initial::normal(config.encoder.initializer_range);
    const int64_t positions = 1 + side_ * side_;
    class_token_ = parameters.add(prefix + "cls_token", {1, 1, dim}, normal);
    // Only self-supervised training uses it; kept so that a saved model loses nothing.
    if (config.mask_token) parameters.add(prefix + "mask_token", {1, dim}, Initial::zeros());
    positions_ = parameters.add(prefix + "position_embeddings", {1, positions, dim},
                                Initial::of(position_waves(side_, dim)));
    const std::string projection = prefix + "patch_embeddings.projection";
    const Tensor weight =
        parameters.add(projection + ".weight", {dim, config.channels, patch_, patch_}, normal);
    projection_.emplace(weight, parameters.add(projection + ".bias", {dim}, Initial::zeros()));
  }

  /// pixels [batch, channels, height, width] -> [batch, tokens, dim].
  Tensor forward(const Tensor& pixels, Pass& pass) const {
    const Tensor patches = projection_->forward(kernels::cut_patches(pixels, patch_), pass.context);
    const Tensor tokens =
        at::cat({class_token_.expand({pixels.size(0), -1, -1}), patches.to(at::kFloat)}, 1);
    return tokens + positions(pixels.size(2) / patch_, pixels.size(3) / patch_);
  }

 private:
  Tensor positions(int64_t rows, int64_t columns) const {
    if (rows == side_ && columns == side_) return positions_;
    const Tensor grid = positions_.slice(1, 1).unflatten(1, {side_, side_}).permute({0, 3, 1, 2});
    const Tensor resized = at::upsample_bicubic2d(grid, {rows, columns}, /*align_corners=*/false);
    return at::cat({positions_.slice(1, 0, 1), resized.flatten(2).transpose(1, 2)}, 1);
  }

  int64_t side_, patch_;
  Tensor class_token_, positions_;
  std::optional<kernels::Linear> projection_;
};

class ViT : public Model {
 public:
  ViT(json config, const std::string& where, std::unique_ptr<Parameters> parameters,
      const MapBuilder& build_map, const DepthBuilder& build_depth)
      : json_(std::move(config)),
        config_(ViTConfig::from_json(json_, where)),
        labels_(class_labels(json_, where)),
        parameters_(std::move(parameters)),
        embeddings_(config_, *parameters_),
        stack_{make_encoder(
                   config_.encoder, [this](int64_t block) { return block_names(config_, block); },
                   build_map, *parameters_, specs_),
               [this](const Tensor& states, Pass& pass) { return read_out(states, pass); }},
        norm_(make_norm(std::string(prefix_of(config_)) + "layernorm", config_.encoder,
                        *parameters_)),
        // Braces: the weight is asked for first.
        classifier_{parameters_->add("classifier.weight", {config_.classes, features()},
                                     Initial::normal(config_.encoder.initializer_range)),
                    parameters_->add("classifier.bias", {config_.classes}, Initial::zeros())},
        depth_(build_depth(depth_spec(config_.encoder, config_.classes), *parameters_)) {}

  Tensor forward(const Tensor& inputs, Pass& pass) const override {
    check_input(inputs.sizes());
    if (!at::isFloatingType(inputs.scalar_type())) {
      fail("inputs of type {}; a vision transformer takes normalised floating-point pixels",
           c10::toString(inputs.scalar_type()));
    }
    pass.sequences = kernels::Sequences::equal(inputs.size(0), 1 + patches(inputs.sizes()));
    pass.ledger.open(pass.sequences);
    pass.ledger.charge(embedding_macs(inputs.sizes()));
    const Tensor tokens = embeddings_.forward(inputs.to(at::kFloat), pass).flatten(0, 1);
    return depth_->run(tokens, stack_, pass);
  }

  Tensor dense_macs(const Tensor& inputs) const override {
    check_input(inputs.sizes());
    const double macs = embedding_macs(inputs.sizes()) + classifier_macs() +
                        encoder_macs(config_.encoder, 1 + patches(inputs.sizes()));
    return at::full({inputs.size(0)}, macs, at::kDouble);
  }

  const std::vector<MapSpec>& maps() const override { return specs_; }
  const json& config() const override { return json_; }
  Parameters& parameters() override { return *parameters_; }
  std::vector<std::string> labels() const override { return labels_; }

 private:
  /// What the classifier sees: Dinov2 shows it the mean of the patches too.
  int64_t features() const { return (config_.dinov2 ? 2 : 1) * config_.encoder.dim; }

  void check_input(at::IntArrayRef shape) const {
    if (shape.size() != 4 || shape[0] < 1 || shape[1] != config_.channels) {
      fail("inputs of shape [{}]; this model takes [batch, {}, height, width]",
           fmt::join(shape, ", "), config_.channels);
    }
    const int64_t patch = config_.patch_size;
    if (shape[2] < 1 || shape[3] < 1 || shape[2] % patch != 0 || shape[3] % patch != 0) {
      fail("inputs of {} x {} pixels; both sides must be multiples of the patch size {}", shape[2],
           shape[3], patch);
    }
  }

  int64_t patches(at::IntArrayRef shape) const {
    return (shape[2] / config_.patch_size) * (shape[3] / config_.patch_size);
  }

  double embedding_macs(at::IntArrayRef shape) const {
    const int64_t pixels = config_.channels * config_.patch_size * config_.patch_size;
    return static_cast<double>(patches(shape) * pixels * config_.encoder.dim);
  }

  double classifier_macs() const { return static_cast<double>(features() * config_.classes); }

  Tensor read_out(const Tensor& rows, Pass& pass) const {
    pass.ledger.charge(classifier_macs());
    const Tensor states = pass.sequences.pad(rows);  // [batch, tokens, dim]
    // ViT reads the class token alone, so the rest needs no norm.
    const Tensor tokens =
        norm_.forward(config_.dinov2 ? states : states.slice(1, 0, 1), pass.context);
    Tensor seen = tokens.select(1, 0);
    if (config_.dinov2) seen = at::cat({seen, tokens.slice(1, 1).mean(1)}, 1);
    return classifier_.forward(seen, pass.context).to(at::kFloat);
  }

  json json_;
  ViTConfig config_;
  std::vector<std::string> labels_;
  std::unique_ptr<Parameters> parameters_;
  std::vector<MapSpec> specs_;
  Embeddings embeddings_;
  Stack stack_;
  kernels::Norm norm_;
  kernels::Linear classifier_;
  std::unique_ptr<DepthPolicy> depth_;
};

}  // namespace

std::unique_ptr<Model> make_vit(const json& config, const std::string& where,
                                std::unique_ptr<Parameters> parameters, const MapBuilder& build_map,
                                const DepthBuilder& build_depth) {
  return std::make_unique<ViT>(config, where, std::move(parameters), build_map, build_depth);
}

}  // namespace pace
