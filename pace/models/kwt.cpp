#include "pace/models/kwt.h"

#include <fmt/ranges.h>

#include <utility>

#include "pace/base/error.h"
#include "pace/models/fields.h"
#include "pace/models/labels.h"

namespace pace {

namespace {

kernels::Activation activation_field(const json& config, const std::string& where) {
  const std::string name = string_field(config, "hidden_act", where, "gelu_pytorch_tanh");
  if (name == "gelu") return kernels::Activation::kGelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return kernels::Activation::kGeluTanh;
  fail("{}: hidden_act is '{}'; supported are gelu, gelu_pytorch_tanh and gelu_new", where, name);
}

void check_supported(const json& config, const std::string& where) {
  const std::string norm = string_field(config, "layer_norm_position", where, "post");
  const std::string pooling = string_field(config, "pooling", where, "cls_token");
  if (norm != "post" || pooling != "cls_token") {
    fail("{}: layer_norm_position is '{}' and pooling '{}'; supported are 'post' and 'cls_token'",
         where, norm, pooling);
  }
  for (const char* field : {"use_cls_token", "attention_output_bias", "mlp_bias"}) {
    if (!bool_field(config, field, where, true)) {
      fail("{}: {} is false; only true is supported", where, field);
    }
  }
  if (bool_field(config, "final_layer_norm", where, false)) {
    fail("{}: final_layer_norm is true; only false is supported", where);
  }
}

BlockNames block_names(int64_t index) {
  const std::string layer = fmt::format("encoder.layer.{}.", index);
  BlockNames names;
  names.query = layer + "attention.attention.query";
  names.key = layer + "attention.attention.key";
  names.value = layer + "attention.attention.value";
  names.output = layer + "attention.output.dense";
  names.norm1 = layer + "layernorm_before";
  names.norm2 = layer + "layernorm_after";
  names.mlp_in = layer + "intermediate.dense";
  names.mlp_out = layer + "output.dense";
  return names;
}

class Kwt : public Model {
 public:
  Kwt(json config, const std::string& where, std::unique_ptr<Parameters> parameters,
      const MapBuilder& build_map, const DepthBuilder& build_depth)
      : json_(std::move(config)),
        config_(KwtConfig::from_json(json_, where)),
        labels_(class_labels(json_, where)),
        parameters_(std::move(parameters)),
        class_token_(parameters_->add("embeddings.cls_token", {1, 1, dim()}, normal())),
        positions_(parameters_->add("embeddings.position_embeddings",
                                    {1, 1 + config_.frames, dim()}, normal())),
        projection_(make_linear("embeddings.projection", config_.features, dim(),
                                config_.encoder.initializer_range, *parameters_)),
        stack_{make_encoder(config_.encoder, block_names, build_map, *parameters_, specs_),
               [this](const Tensor& states, Pass& pass) { return read_out(states, pass); }},
        classifier_(make_linear("classifier", dim(), config_.classes,
                                config_.encoder.initializer_range, *parameters_)),
        depth_(build_depth(depth_spec(config_.encoder, config_.classes), *parameters_)) {}

  Tensor forward(const Tensor& inputs, Pass& pass) const override {
    check_input(inputs);
    pass.sequences = kernels::Sequences::equal(inputs.size(0), 1 + config_.frames);
    pass.ledger.open(pass.sequences);
    pass.ledger.charge(embedding_macs());
    const Tensor frames = projection_.forward(inputs.to(at::kFloat), pass.context).to(at::kFloat);
    const Tensor tokens =
        at::cat({class_token_.expand({inputs.size(0), -1, -1}), frames}, 1) + positions_;
    return depth_->run(tokens.flatten(0, 1), stack_, pass);
  }

  Tensor dense_macs(const Tensor& inputs) const override {
    check_input(inputs);
    const double macs =
        embedding_macs() + classifier_macs() + encoder_macs(config_.encoder, 1 + config_.frames);
    return at::full({inputs.size(0)}, macs, at::kDouble);
  }

  const std::vector<MapSpec>& maps() const override { return specs_; }
  const json& config() const override { return json_; }
  Parameters& parameters() override { return *parameters_; }
  std::vector<std::string> labels() const override { return labels_; }

 private:
  int64_t dim() const { return config_.encoder.dim; }
  Initial normal() const { return Initial::normal(config_.encoder.initializer_range); }

  void check_input(const Tensor& inputs) const {
    const bool fits = inputs.dim() == 3 && inputs.size(0) > 0 && inputs.size(1) == config_.frames &&
                      inputs.size(2) == config_.features;
    if (fits && at::isFloatingType(inputs.scalar_type())) return;
    fail("inputs of shape [{}] and type {}; this model takes floating-point [batch, {}, {}]",
         fmt::join(inputs.sizes(), ", "), c10::toString(inputs.scalar_type()), config_.frames,
         config_.features);
  }

  double embedding_macs() const {
    return static_cast<double>(config_.frames * config_.features * dim());
  }
  double classifier_macs() const { return static_cast<double>(dim() * config_.classes); }

  Tensor read_out(const Tensor& states, Pass& pass) const {
    pass.ledger.charge(classifier_macs());
    return classifier_.forward(first_tokens(states, pass), pass.context).to(at::kFloat);
  }

  json json_;
  KwtConfig config_;
  std::vector<std::string> labels_;
  std::unique_ptr<Parameters> parameters_;
  std::vector<MapSpec> specs_;
  Tensor class_token_, positions_;
  kernels::Linear projection_;
  Stack stack_;
  kernels::Linear classifier_;
  std::unique_ptr<DepthPolicy> depth_;
};

}  // namespace

KwtConfig KwtConfig::from_json(const json& config, const std::string& where) {
  if (!config.is_object()) fail("{}: the config must be a JSON object", where);
  check_supported(config, where);
  KwtConfig kwt;
  kwt.frames = size_field(config, "num_frames", where);
  kwt.features = size_field(config, "num_mfcc", where);
  kwt.classes = static_cast<int64_t>(class_labels(config, where).size());
  EncoderShape& encoder = kwt.encoder;
  encoder.post_norm = true;
  encoder.activation = activation_field(config, where);
  encoder.qkv_bias = bool_field(config, "qkv_bias", where, false);
  encoder.dim = size_field(config, "hidden_size", where);
  encoder.layers = size_field(config, "num_hidden_layers", where);
  encoder.heads = size_field(config, "num_attention_heads", where);
  encoder.hidden = size_field(config, "intermediate_size", where);
  encoder.norm_epsilon = non_negative_field(config, "layer_norm_eps", where, 1e-6);
  encoder.initializer_range = non_negative_field(config, "initializer_range", where, 0.02);
  check_divisible(encoder.dim, "hidden_size", encoder.heads, "num_attention_heads", where);
  return kwt;
}

std::unique_ptr<Model> make_kwt(const json& config, const std::string& where,
                                std::unique_ptr<Parameters> parameters, const MapBuilder& build_map,
                                const DepthBuilder& build_depth) {
  return std::make_unique<Kwt>(config, where, std::move(parameters), build_map, build_depth);
}

}  // namespace pace
