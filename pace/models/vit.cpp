#include "pace/models/vit.h"

#include <fmt/ranges.h>

#include <utility>

#include "pace/base/error.h"
#include "pace/kernels/attention.h"
#include "pace/kernels/norm.h"
#include "pace/models/labels.h"

namespace pace {

namespace {

/// What ViT and Dinov2 call the same tensors.
struct Names {
  std::string prefix, norm1, norm2, mlp_in, mlp_out;

  static Names of(const ViTConfig& config) {
    if (config.dinov2) return {"dinov2.", "norm1", "norm2", "mlp.fc1", "mlp.fc2"};
    return {"vit.", "layernorm_before", "layernorm_after", "intermediate.dense", "output.dense"};
  }

  std::string layer(int64_t index) const {
    return fmt::format("{}encoder.layer.{}.", prefix, index);
  }
};

kernels::Norm make_norm(const std::string& name, const ViTConfig& config, Parameters& parameters) {
  const Tensor weight = parameters.add(name + ".weight", {config.dim}, Initial::ones());
  return {weight, parameters.add(name + ".bias", {config.dim}, Initial::zeros()),
          config.norm_epsilon};
}

std::vector<MapSpec> block_specs(const ViTConfig& config, const Names& names, int64_t block) {
  const std::string layer = names.layer(block), attention = layer + "attention.";
  const auto spec = [&](MapKind kind, int64_t hidden, std::vector<std::string> dense_names) {
    MapSpec made;
    made.site = fmt::format("layer.{}.{}", block, to_string(kind));
    made.block = static_cast<int>(block);
    made.kind = kind;
    made.in = made.out = config.dim;
    made.hidden = hidden;
    made.bias = kind == MapKind::kOutput || config.qkv_bias;
    made.dense_names = std::move(dense_names);
    made.deviation = config.initializer_range;
    return made;
  };
  return {spec(MapKind::kQuery, 0, {attention + "attention.query"}),
          spec(MapKind::kKey, 0, {attention + "attention.key"}),
          spec(MapKind::kValue, 0, {attention + "attention.value"}),
          spec(MapKind::kOutput, 0, {attention + "output.dense"}),
          spec(MapKind::kMlp, config.hidden, {layer + names.mlp_in, layer + names.mlp_out})};
}

/// Pre-norm block: x += scale1 * attention(norm1(x)); x += scale2 * mlp(norm2(x)).
class ViTBlock : public Block {
 public:
  ViTBlock(const ViTConfig& config, const Names& names, const std::vector<MapSpec>& specs,
           const MapBuilder& build_map, Parameters& parameters)
      : heads_(config.heads),
        norm1_(make_norm(names.layer(specs[0].block) + names.norm1, config, parameters)),
        query_(build_map(specs[0], parameters)),
        key_(build_map(specs[1], parameters)),
        value_(build_map(specs[2], parameters)),
        output_(build_map(specs[3], parameters)),
        norm2_(make_norm(names.layer(specs[0].block) + names.norm2, config, parameters)),
        mlp_(build_map(specs[4], parameters)) {
    if (!config.dinov2) return;
    const std::string layer = names.layer(specs[0].block);
    const Initial initial = Initial::constant(config.layer_scale);
    scale1_ = parameters.add(layer + "layer_scale1.lambda1", {config.dim}, initial);
    scale2_ = parameters.add(layer + "layer_scale2.lambda1", {config.dim}, initial);
  }

  Tensor forward(const Tensor& states, Pass& pass) const override {
    const auto [attended, normed] = norm2_.add(
        states, attend(norm1_.forward(states, pass.context), pass), scale1_, pass.context);
    return kernels::add_scaled(attended, mlp_->forward(normed, pass), scale2_);
  }

 private:
  Tensor attend(const Tensor& tokens, Pass& pass) const {
    const Tensor query = query_->forward(tokens, pass), key = key_->forward(tokens, pass);
    const Tensor value = value_->forward(tokens, pass);
    pass.ledger.charge(2.0 * static_cast<double>(tokens.size(1) * tokens.size(1) * tokens.size(2)));
    return output_->forward(kernels::attention(query, key, value, heads_, pass.valid, pass.context),
                            pass);
  }

  int64_t heads_;
  kernels::Norm norm1_;
  std::unique_ptr<TokenMap> query_, key_, value_, output_;
  kernels::Norm norm2_;
  std::unique_ptr<TokenMap> mlp_;
  Tensor scale1_, scale2_;
};

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
  Embeddings(const ViTConfig& config, const Names& names, Parameters& parameters)
      : side_(config.image_size / config.patch_size), patch_(config.patch_size) {
    const std::string prefix = names.prefix + "embeddings.";
    const Initial normal = Initial::normal(config.initializer_range);
    const int64_t positions = 1 + side_ * side_;
    class_token_ = parameters.add(prefix + "cls_token", {1, 1, config.dim}, normal);
    // Only self-supervised training uses it; kept so that a saved model loses nothing.
    if (config.mask_token) parameters.add(prefix + "mask_token", {1, config.dim}, Initial::zeros());
    positions_ = parameters.add(prefix + "position_embeddings", {1, positions, config.dim},
                                Initial::of(position_waves(side_, config.dim)));
    const std::string projection = prefix + "patch_embeddings.projection";
    const Tensor weight = parameters.add(projection + ".weight",
                                         {config.dim, config.channels, patch_, patch_}, normal);
    projection_.emplace(weight,
                        parameters.add(projection + ".bias", {config.dim}, Initial::zeros()));
  }

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
      const MapBuilder& build_map, std::unique_ptr<DepthPolicy> depth)
      : json_(std::move(config)),
        config_(ViTConfig::from_json(json_, where)),
        labels_(class_labels(json_, where)),
        names_(Names::of(config_)),
        parameters_(std::move(parameters)),
        depth_(std::move(depth)),
        embeddings_(config_, names_, *parameters_),
        blocks_(make_blocks(build_map)),
        norm_(make_norm(names_.prefix + "layernorm", config_, *parameters_)),
        // Braces: the weight is asked for first.
        classifier_{parameters_->add("classifier.weight", {config_.classes, features()},
                                     Initial::normal(config_.initializer_range)),
                    parameters_->add("classifier.bias", {config_.classes}, Initial::zeros())} {}

  Tensor forward(const Tensor& inputs, Pass& pass) const override {
    check_input(inputs.sizes());
    if (!at::isFloatingType(inputs.scalar_type())) {
      fail("inputs of type {}; a vision transformer takes normalised floating-point pixels",
           c10::toString(inputs.scalar_type()));
    }
    pass.ledger.open(inputs.size(0));
    pass.ledger.charge(embedding_macs(inputs.sizes()) + classifier_macs());
    const Tensor tokens = embeddings_.forward(inputs.to(at::kFloat), pass);
    return classify(depth_->run(tokens, blocks_, pass), pass);
  }

  double dense_macs(at::IntArrayRef input_shape) const override {
    check_input(input_shape);
    const auto tokens = static_cast<double>(1 + patches(input_shape));
    double macs = embedding_macs(input_shape) + classifier_macs();
    for (const MapSpec& spec : specs_) macs += tokens * static_cast<double>(spec.dense_macs());
    return macs + 2.0 * tokens * tokens * static_cast<double>(config_.dim * config_.layers);
  }

  const std::vector<MapSpec>& maps() const override { return specs_; }
  const json& config() const override { return json_; }
  Parameters& parameters() override { return *parameters_; }
  std::vector<std::string> labels() const override { return labels_; }

 private:
  /// What the classifier sees: Dinov2 shows it the mean of the patches too.
  int64_t features() const { return config_.dinov2 ? 2 * config_.dim : config_.dim; }

  std::vector<std::unique_ptr<Block>> make_blocks(const MapBuilder& build_map) {
    std::vector<std::unique_ptr<Block>> blocks;
    for (int64_t index = 0; index < config_.layers; ++index) {
      const std::vector<MapSpec> specs = block_specs(config_, names_, index);
      blocks.push_back(std::make_unique<ViTBlock>(config_, names_, specs, build_map, *parameters_));
      specs_.insert(specs_.end(), specs.begin(), specs.end());
    }
    return blocks;
  }

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
    return static_cast<double>(patches(shape) * pixels * config_.dim);
  }

  double classifier_macs() const { return static_cast<double>(features() * config_.classes); }

  Tensor classify(const Tensor& states, Pass& pass) const {
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
  Names names_;
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<DepthPolicy> depth_;
  std::vector<MapSpec> specs_;
  Embeddings embeddings_;
  std::vector<std::unique_ptr<Block>> blocks_;
  kernels::Norm norm_;
  kernels::Linear classifier_;
};

}  // namespace

std::unique_ptr<Model> make_vit(const json& config, const std::string& where,
                                std::unique_ptr<Parameters> parameters, const MapBuilder& build_map,
                                std::unique_ptr<DepthPolicy> depth) {
  return std::make_unique<ViT>(config, where, std::move(parameters), build_map, std::move(depth));
}

}  // namespace pace
