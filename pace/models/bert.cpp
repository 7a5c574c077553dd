#include "pace/models/bert.h"

#include <utility>

#include "pace/base/error.h"
#include "pace/models/labels.h"
#include "pace/models/tokens.h"

namespace pace {

namespace {

/// In front of the names of all tensors but the classifier's.
const char* prefix_of(const BertConfig& config) { return config.roberta ? "roberta." : "bert."; }

BlockNames block_names(const BertConfig& config, int64_t index) {
  const std::string layer = fmt::format("{}encoder.layer.{}.", prefix_of(config), index);
  BlockNames names;
  names.query = layer + "attention.self.query";
  names.key = layer + "attention.self.key";
  names.value = layer + "attention.self.value";
  names.output = layer + "attention.output.dense";
  names.norm1 = layer + "attention.output.LayerNorm";
  names.mlp_in = layer + "intermediate.dense";
  names.mlp_out = layer + "output.dense";
  names.norm2 = layer + "output.LayerNorm";
  return names;
}

/// From token numbers to states: the sum of what word, type and position stand for, normed.
class Embeddings {
 public:
  Embeddings(const BertConfig& config, Parameters& parameters)
      : first_position_(config.first_position),
        words_(table("word", config.vocabulary, config, parameters)),
        positions_(table("position", config.first_position + config.positions, config, parameters)),
        types_(table("token_type", config.types, config, parameters)),
        norm_(make_norm(name(config, "LayerNorm"), config.encoder, parameters)) {}

  /// tokens int64 [rows, 2] of `sequences` -> [rows, dim].
  Tensor forward(const Tensor& tokens, const kernels::Sequences& sequences, Pass& pass) const {
    const Tensor position =
        sequences.unpad(at::arange(first_position_, first_position_ + sequences.longest())
                            .expand({sequences.count(), sequences.longest()}));
    const Tensor sum = at::embedding(words_, tokens.select(1, 0)) +
                       at::embedding(types_, tokens.select(1, 1)) +
                       at::embedding(positions_, position.to(tokens.device()));
    return norm_.forward(sum, pass.context);
  }

 private:
  static std::string name(const BertConfig& config, const char* part) {
    return std::string(prefix_of(config)) + "embeddings." + part;
  }
  static Tensor table(const char* what, int64_t rows, const BertConfig& config,
                      Parameters& parameters) {
    return parameters.add(name(config, what) + "_embeddings.weight", {rows, config.encoder.dim},
                          Initial::normal(config.encoder.initializer_range));
  }

  int64_t first_position_;
  Tensor words_, positions_, types_;
  kernels::Norm norm_;
};

/// From the first token's state to logits: linear, tanh, linear.
class Head {
 public:
  Head(const BertConfig& config, Parameters& parameters)
      : pooler_(linear(config.roberta ? "classifier.dense" : "bert.pooler.dense",
                       config.encoder.dim, config, parameters)),
        classifier_(linear(config.roberta ? "classifier.out_proj" : "classifier", config.classes,
                           config, parameters)) {}

  /// first [batch, dim] -> [batch, classes].
  Tensor forward(const Tensor& first, Pass& pass) const {
    const Tensor pooled = pooler_.forward(first, pass.context).tanh();
    return classifier_.forward(pooled, pass.context).to(at::kFloat);
  }

 private:
  static kernels::Linear linear(const std::string& name, int64_t out, const BertConfig& config,
                                Parameters& parameters) {
    const auto [weight, bias] =
        add_linear(name, config.encoder.dim, out, config.encoder.initializer_range, parameters);
    return {weight, bias};
  }

  kernels::Linear pooler_, classifier_;
};

class Bert : public Model {
 public:
  Bert(json config, const std::string& where, std::unique_ptr<Parameters> parameters,
       const MapBuilder& build_map, const DepthBuilder& build_depth)
      : json_(std::move(config)),
        config_(BertConfig::from_json(json_, where)),
        labels_(class_labels(json_, where)),
        parameters_(std::move(parameters)),
        embeddings_(config_, *parameters_),
        stack_{make_encoder(
                   config_.encoder, [this](int64_t block) { return block_names(config_, block); },
                   build_map, *parameters_, specs_),
               [this](const Tensor& states, Pass& pass) { return read_out(states, pass); }},
        head_(config_, *parameters_),
        depth_(build_depth(depth_spec(config_.encoder, config_.classes), *parameters_)) {}

  Tensor forward(const Tensor& inputs, Pass& pass) const override {
    pass.sequences = text_sequences(inputs, config_.positions);
    pass.ledger.open(pass.sequences);
    const Tensor tokens = pass.sequences.unpad(inputs.narrow(1, 0, pass.sequences.longest()));
    check_tokens(tokens, 0, "number in the vocabulary", config_.vocabulary);
    check_tokens(tokens, 1, "type", config_.types);
    return depth_->run(embeddings_.forward(tokens, pass.sequences, pass), stack_, pass);
  }

  Tensor dense_macs(const Tensor& inputs) const override {
    const kernels::Sequences sequences = text_sequences(inputs, config_.positions);
    std::vector<double> macs;
    for (int64_t i = 0; i < sequences.count(); ++i) {
      macs.push_back(head_macs() + encoder_macs(config_.encoder, sequences.length(i)));
    }
    return at::tensor(macs, at::kDouble);
  }

  const std::vector<MapSpec>& maps() const override { return specs_; }
  const json& config() const override { return json_; }
  Parameters& parameters() override { return *parameters_; }
  std::vector<std::string> labels() const override { return labels_; }

 private:
  Tensor read_out(const Tensor& states, Pass& pass) const {
    pass.ledger.charge(head_macs());
    return head_.forward(first_tokens(states, pass), pass);
  }

  double head_macs() const {
    return static_cast<double>(config_.encoder.dim * (config_.encoder.dim + config_.classes));
  }

  json json_;
  BertConfig config_;
  std::vector<std::string> labels_;
  std::unique_ptr<Parameters> parameters_;
  std::vector<MapSpec> specs_;
  Embeddings embeddings_;
  Stack stack_;
  Head head_;
  std::unique_ptr<DepthPolicy> depth_;
};

}  // namespace

std::unique_ptr<Model> make_bert(const json& config, const std::string& where,
                                 std::unique_ptr<Parameters> parameters,
                                 const MapBuilder& build_map, const DepthBuilder& build_depth) {
  return std::make_unique<Bert>(config, where, std::move(parameters), build_map, build_depth);
}

}  // namespace pace
