#include "pace/models/wav2vec2.h"

#include <fmt/ranges.h>

#include <cmath>
#include <optional>
#include <utility>

#include "pace/base/error.h"
#include "pace/kernels/conv1d.h"
#include "pace/kernels/linear.h"

namespace pace {

namespace {

using kernels::Activation;
using kernels::Conv1d;
using kernels::NormedConv1d;
using kernels::Sequences;

const std::string kPrefix = "wav2vec2.";
constexpr double kConvNormEpsilon = 1e-5;  ///< of the norms in the feature encoder

BlockNames block_names(int64_t index) {
  const std::string layer = fmt::format("{}encoder.layers.{}.", kPrefix, index);
  BlockNames names;
  names.query = layer + "attention.q_proj";
  names.key = layer + "attention.k_proj";
  names.value = layer + "attention.v_proj";
  names.output = layer + "attention.out_proj";
  names.norm1 = layer + "layer_norm";
  names.mlp_in = layer + "feed_forward.intermediate_dense";
  names.mlp_out = layer + "feed_forward.output_dense";
  names.norm2 = layer + "final_layer_norm";
  return names;
}

/// The parameters of a norm over so many channels.
std::pair<Tensor, Tensor> add_norm(const std::string& name, int64_t channels,
                                   Parameters& parameters) {
  const Tensor weight = parameters.add(name + ".weight", {channels}, Initial::ones());
  return {weight, parameters.add(name + ".bias", {channels}, Initial::zeros())};
}

kernels::Norm norm(const std::string& name, int64_t channels, double epsilon,
                   Parameters& parameters) {
  const auto [weight, bias] = add_norm(name, channels, parameters);
  return {weight, bias, epsilon};
}

/// A layer of the feature encoder: a convolution, a norm in most cases, and a GELU.
class FeatureLayer {
 public:
  FeatureLayer(const Wav2Vec2Config& config, size_t index, Parameters& parameters) {
    const Wav2Vec2Config::Layer& layer = config.features[index];
    const std::string name = fmt::format("{}feature_extractor.conv_layers.{}.", kPrefix, index);
    // So that what comes out is as large as what goes in (He et al., arXiv 1502.01852).
    const double deviation = std::sqrt(2.0 / static_cast<double>(layer.in * layer.side));
    const Tensor weight = parameters.add(name + "conv.weight", {layer.out, layer.in, layer.side},
                                         Initial::normal(deviation));
    const Tensor bias = config.conv_bias
                            ? parameters.add(name + "conv.bias", {layer.out}, Initial::zeros())
                            : Tensor();
    if (config.layer_norms) {
      norm_.emplace(norm(name + "layer_norm", layer.out, kConvNormEpsilon, parameters));
    } else if (index == 0) {
      const auto [scale, shift] = add_norm(name + "layer_norm", layer.out, parameters);
      first_ = std::make_unique<NormedConv1d>(weight, bias, layer.stride, scale, shift,
                                              kConvNormEpsilon);
      return;
    }
    conv_ = std::make_unique<Conv1d>(weight, bias, kernels::Conv1dShape{.stride = layer.stride});
  }

  /// x [sequences.rows(), in] -> [result(sequences).rows(), out].
  Tensor forward(const Tensor& x, const Sequences& sequences, kernels::Context& context) const {
    if (first_) return first_->forward(x, sequences, context);
    if (!norm_) return conv_->forward(x, sequences, context, Activation::kGelu);
    return norm_->forward(conv_->forward(x, sequences, context), context, Activation::kGelu);
  }

  Sequences result(const Sequences& sequences) const {
    return first_ ? first_->result(sequences) : conv_->result(sequences);
  }

 private:
  std::unique_ptr<NormedConv1d> first_;  ///< with a group norm; null: none
  std::unique_ptr<Conv1d> conv_;         ///< otherwise
  std::optional<kernels::Norm> norm_;
};

/// The positional convolution, whose weight is normalised.
Conv1d position_conv(const Wav2Vec2Config& config, Parameters& parameters) {
  const std::string name = kPrefix + "encoder.pos_conv_embed.conv.";
  const int64_t dim = config.encoder.dim, side = config.position_side;
  const int64_t seen = dim / config.position_groups;  // channels that an output sees
  const double deviation = 2.0 / std::sqrt(static_cast<double>(side * dim));
  // The gain that leaves such weights about as they are.
  const double gain = deviation * std::sqrt(static_cast<double>(dim * seen));
  const Tensor size = parameters.add(name + "parametrizations.weight.original0", {1, 1, side},
                                     Initial::constant(gain));
  const Tensor weight = parameters.add(name + "parametrizations.weight.original1",
                                       {dim, seen, side}, Initial::normal(deviation));
  const Tensor bias = parameters.add(name + "bias", {dim}, Initial::zeros());
  return {weight, bias, {.groups = config.position_groups, .padded = true}, size};
}

/// From samples to the states before the first block.
class Frontend {
 public:
  Frontend(const Wav2Vec2Config& config, Parameters& parameters)
      : config_(config),
        features_(feature_layers(config, parameters)),
        feature_norm_(norm(kPrefix + "feature_projection.layer_norm", config.features.back().out,
                           config.encoder.norm_epsilon, parameters)),
        projection_(make_linear(kPrefix + "feature_projection.projection",
                                config.features.back().out, config.encoder.dim,
                                config.encoder.initializer_range, parameters)),
        positions_(position_conv(config, parameters)),
        norm_(make_norm(kPrefix + "encoder.layer_norm", config.encoder, parameters)) {}

  /// samples [sounds.rows(), 1] -> [frames, dim], which pass.sequences has already.
  Tensor forward(const Tensor& samples, Sequences sounds, Pass& pass) const {
    Tensor x = samples;
    for (const auto& layer : features_) {
      x = layer->forward(x, sounds, pass.context);
      sounds = layer->result(sounds);
    }
    const Tensor frames =
        projection_.forward(feature_norm_.forward(x, pass.context), pass.context).to(at::kFloat);
    const Tensor places =
        positions_.forward(frames, pass.sequences, pass.context, Activation::kGelu);
    if (!config_.encoder.post_norm) return frames + places.to(at::kFloat);
    return norm_.add(frames, places.to(at::kFloat), {}, pass.context).second;
  }

  /// What the head looks at: of blocks that norm before their maps the states need one more.
  Tensor finish(const Tensor& states, Pass& pass) const {
    return config_.encoder.post_norm ? states : norm_.forward(states, pass.context);
  }

  /// MACs behind the feature encoder, for each frame.
  double frame_macs() const {
    return static_cast<double>(config_.features.back().out * config_.encoder.dim +
                               positions_.macs());
  }

 private:
  static std::vector<std::unique_ptr<FeatureLayer>> feature_layers(const Wav2Vec2Config& config,
                                                                   Parameters& parameters) {
    std::vector<std::unique_ptr<FeatureLayer>> layers;
    for (size_t i = 0; i < config.features.size(); ++i) {
      layers.push_back(std::make_unique<FeatureLayer>(config, i, parameters));
    }
    return layers;
  }

  const Wav2Vec2Config& config_;
  std::vector<std::unique_ptr<FeatureLayer>> features_;
  kernels::Norm feature_norm_;
  kernels::Linear projection_;
  Conv1d positions_;
  kernels::Norm norm_;  ///< before the blocks, or behind them
};

class Wav2Vec2 : public Model {
 public:
  Wav2Vec2(json config, const std::string& where, std::unique_ptr<Parameters> parameters,
           const MapBuilder& build_map, const DepthBuilder& build_depth)
      : json_(std::move(config)),
        config_(Wav2Vec2Config::from_json(json_, where)),
        parameters_(std::move(parameters)),
        frontend_(config_, *parameters_),
        stack_{make_encoder(config_.encoder, block_names, build_map, *parameters_, specs_),
               [this](const Tensor& states, Pass& pass) { return read_out(states, pass); }},
        head_(make_linear("lm_head", config_.encoder.dim, config_.vocabulary,
                          config_.encoder.initializer_range, *parameters_)),
        depth_(build_depth({.blocks = config_.encoder.layers,
                            .dim = config_.encoder.dim,
                            .deviation = config_.encoder.initializer_range},
                           *parameters_)) {}

  Tensor forward(const Tensor& inputs, Pass& pass) const override {
    const Sequences sounds = sounds_of(inputs);
    pass.sequences = frames_of(sounds);
    pass.ledger.open(pass.sequences);
    pass.ledger.charge(feature_macs(sounds), 1.0);
    pass.ledger.charge_tokens(frontend_.frame_macs());
    const Tensor samples =
        sounds.unpad(inputs.narrow(1, 0, sounds.longest()).to(at::kFloat)).unsqueeze(1);
    const Sequences frames = pass.sequences;
    const Tensor logits = depth_->run(frontend_.forward(samples, sounds, pass), stack_, pass);
    return frames.pad(logits);
  }

  Tensor dense_macs(const Tensor& inputs) const override {
    const Sequences sounds = sounds_of(inputs), frames = frames_of(sounds);
    const Tensor features = at::tensor(feature_macs(sounds), at::kLong).to(at::kDouble);
    std::vector<double> macs;
    for (int64_t i = 0; i < frames.count(); ++i) {
      macs.push_back(encoder_macs(config_.encoder, frames.length(i)));
    }
    const Tensor each = frames.lengths().to(at::kDouble) * (frontend_.frame_macs() + answer_macs());
    return features + each + at::tensor(macs, at::kDouble);
  }

  double answer_macs() const override {
    return static_cast<double>(config_.encoder.dim * config_.vocabulary);
  }
  const std::vector<MapSpec>& maps() const override { return specs_; }
  const json& config() const override { return json_; }
  Parameters& parameters() override { return *parameters_; }
  std::vector<std::string> labels() const override { return {}; }

 private:
  /// Where the sounds of a batch lie. Throws Error for inputs that are none.
  Sequences sounds_of(const Tensor& inputs) const {
    if (inputs.dim() != 2 || inputs.size(0) < 1 || !at::isFloatingType(inputs.scalar_type())) {
      fail("inputs of shape [{}] and type {}; this model takes floating-point [batch, samples]",
           fmt::join(inputs.sizes(), ", "), c10::toString(inputs.scalar_type()));
    }
    const Tensor there = inputs.isnan().logical_not().to(at::kCPU);
    const Tensor counted = there.sum(1);
    if (!there.equal(at::arange(inputs.size(1)) < counted.unsqueeze(1))) {
      fail("a sample that is not a number before the end of its sound");
    }
    const int64_t* lengths = counted.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < inputs.size(0); ++i) {
      if (config_.frames(lengths[i]) == 0) {
        fail("a sound of {} samples; this model needs at least {}", lengths[i],
             config_.least_samples());
      }
    }
    return Sequences(std::vector<int64_t>(lengths, lengths + inputs.size(0)));
  }

  Sequences frames_of(const Sequences& sounds) const {
    std::vector<int64_t> frames;
    for (int64_t i = 0; i < sounds.count(); ++i) frames.push_back(config_.frames(sounds.length(i)));
    return Sequences(frames);
  }

  /// MACs of the feature encoder for each sound.
  std::vector<int64_t> feature_macs(const Sequences& sounds) const {
    std::vector<int64_t> macs;
    for (int64_t i = 0; i < sounds.count(); ++i) {
      macs.push_back(config_.feature_macs(sounds.length(i)));
    }
    return macs;
  }

  Tensor read_out(const Tensor& states, Pass& pass) const {
    pass.ledger.charge_tokens(answer_macs());
    return head_.forward(frontend_.finish(states, pass), pass.context).to(at::kFloat);
  }

  json json_;
  Wav2Vec2Config config_;
  std::unique_ptr<Parameters> parameters_;
  std::vector<MapSpec> specs_;
  Frontend frontend_;
  Stack stack_;
  kernels::Linear head_;
  std::unique_ptr<DepthPolicy> depth_;
};

}  // namespace

std::unique_ptr<Model> make_wav2vec2(const json& config, const std::string& where,
                                     std::unique_ptr<Parameters> parameters,
                                     const MapBuilder& build_map, const DepthBuilder& build_depth) {
  return std::make_unique<Wav2Vec2>(config, where, std::move(parameters), build_map, build_depth);
}

}  // namespace pace
