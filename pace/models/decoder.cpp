#include "pace/models/decoder.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "pace/base/error.h"
#include "pace/kernels/attention.h"
#include "pace/kernels/linear.h"
#include "pace/kernels/norm.h"
#include "pace/kernels/rotary.h"
#include "pace/models/tokens.h"

namespace pace {

namespace {

using kernels::KeyValues;

/// What the tensors of one block are called, without ".weight" and ".bias".
struct Names {
  std::string norm1, norm2, output;
  std::vector<std::string> attention;  ///< query, key, value, or all three in one
  std::vector<std::string> mlp;        ///< in, out and, of Llama, gate

  Names(const DecoderConfig& config, int64_t block) {
    if (config.llama) {
      const std::string layer = fmt::format("model.layers.{}.", block);
      norm1 = layer + "input_layernorm";
      norm2 = layer + "post_attention_layernorm";
      const std::string own = layer + "self_attn.";
      attention = {own + "q_proj", own + "k_proj", own + "v_proj"};
      output = own + "o_proj";
      mlp = {layer + "mlp.up_proj", layer + "mlp.down_proj", layer + "mlp.gate_proj"};
    } else {
      const std::string layer = fmt::format("transformer.h.{}.", block);
      norm1 = layer + "ln_1";
      norm2 = layer + "ln_2";
      attention = {layer + "attn.c_attn"};
      output = layer + "attn.c_proj";
      mlp = {layer + "mlp.c_fc", layer + "mlp.c_proj"};
    }
  }
};

/// Layer norm of GPT-2, RMSNorm of Llama.
kernels::Norm make_norm(const std::string& name, const DecoderConfig& config,
                        Parameters& parameters) {
  const Tensor weight = parameters.add(name + ".weight", {config.dim}, Initial::ones());
  const Tensor bias =
      config.llama ? Tensor() : parameters.add(name + ".bias", {config.dim}, Initial::zeros());
  return {weight, bias, config.norm_epsilon};
}

/// The maps of one block: those of its attention, the output, the MLP.
std::vector<MapSpec> block_specs(const DecoderConfig& config, int64_t block) {
  const Names names(config, block);
  // As GPT-2 begins: what is added to the states is smaller the more blocks add to them.
  const double added =
      config.initializer_range / std::sqrt(2.0 * static_cast<double>(config.layers));
  const auto spec = [&](MapKind kind, std::vector<std::string> dense_names, int64_t in,
                        int64_t out) {
    MapSpec made;
    made.site = fmt::format("layer.{}.{}", block, to_string(kind));
    made.block = static_cast<int>(block);
    made.kind = kind;
    made.in = in;
    made.out = out;
    made.bias = config.attention_bias;
    made.transposed = !config.llama;
    made.dense_names = std::move(dense_names);
    made.deviation = kind == MapKind::kOutput ? added : config.initializer_range;
    return made;
  };
  const int64_t dim = config.dim, query = config.query_width(), key = config.key_width();
  std::vector<MapSpec> specs;
  if (config.llama) {
    specs = {spec(MapKind::kQuery, {names.attention[0]}, dim, query),
             spec(MapKind::kKey, {names.attention[1]}, dim, key),
             spec(MapKind::kValue, {names.attention[2]}, dim, key)};
  } else {
    specs = {spec(MapKind::kQueryKeyValue, names.attention, dim, query + 2 * key)};
  }
  specs.push_back(spec(MapKind::kOutput, {names.output}, query, dim));
  MapSpec mlp = spec(MapKind::kMlp, names.mlp, dim, dim);
  mlp.hidden = config.hidden;
  mlp.bias = config.mlp_bias;
  mlp.gated = config.llama;
  mlp.activation = config.llama ? kernels::Activation::kSilu : kernels::Activation::kGeluTanh;
  specs.push_back(std::move(mlp));
  return specs;
}

class DecoderBlock : public Block {
 public:
  /// `rotary` may be null.
  DecoderBlock(const DecoderConfig& config, int64_t index, const std::vector<MapSpec>& specs,
               const kernels::Rotary* rotary, const MapBuilder& build_map, Parameters& parameters)
      : config_(config),
        index_(static_cast<size_t>(index)),
        rotary_(rotary),
        norm1_(make_norm(Names(config, index).norm1, config, parameters)),
        norm2_(make_norm(Names(config, index).norm2, config, parameters)) {
    for (const MapSpec& spec : specs) {
      std::unique_ptr<TokenMap> map = build_map(spec, parameters);
      if (spec.kind == MapKind::kMlp) {
        mlp_ = std::move(map);
      } else if (spec.kind == MapKind::kOutput) {
        output_ = std::move(map);
      } else {
        into_.push_back(std::move(map));
      }
    }
  }

  Tensor forward(const Tensor& states, Pass& pass) const override {
    const Tensor update = attend(norm1_.forward(states, pass.context), pass);
    const auto [attended, normed] = norm2_.add(states, update, {}, pass.context);
    return attended + mlp_->forward(normed, pass);
  }

 private:
  Tensor attend(const Tensor& tokens, Pass& pass) const {
    auto [query, key, value] = project(tokens, pass);
    if (rotary_) {
      query = rotary_->forward(query, pass.positions, pass.context);
      key = rotary_->forward(key, pass.positions, pass.context);
    }
    std::vector<KeyValues>* memory = pass.memory ? &pass.memory->blocks[index_] : nullptr;
    charge_pairs(memory, pass);
    const kernels::Heads heads{config_.heads, config_.key_heads, true};
    return output_->forward(
        kernels::attention(query, key, value, heads, pass.sequences, pass.context, memory), pass);
  }

  /// Query, key and value of the tokens.
  std::array<Tensor, 3> project(const Tensor& tokens, Pass& pass) const {
    if (into_.size() == 3) {
      return {into_[0]->forward(tokens, pass), into_[1]->forward(tokens, pass),
              into_[2]->forward(tokens, pass)};
    }
    const Tensor all = into_[0]->forward(tokens, pass);
    const int64_t query = config_.query_width(), key = config_.key_width();
    return {all.narrow(1, 0, query), all.narrow(1, query, key), all.narrow(1, query + key, key)};
  }

  void charge_pairs(const std::vector<KeyValues>* memory, Pass& pass) const {
    std::vector<int64_t> pairs;
    for (int64_t i = 0; i < pass.sequences.count(); ++i) {
      const int64_t before = memory ? (*memory)[static_cast<size_t>(i)].tokens : 0;
      pairs.push_back(kernels::attended_pairs(pass.sequences.length(i), before, true));
    }
    pass.ledger.charge(pairs, 2.0 * static_cast<double>(config_.query_width()));
  }

  const DecoderConfig& config_;
  size_t index_;
  const kernels::Rotary* rotary_;
  kernels::Norm norm1_, norm2_;
  std::vector<std::unique_ptr<TokenMap>> into_;  ///< the attention: three maps, or one
  std::unique_ptr<TokenMap> output_, mlp_;
};

/// From token numbers to states, and from states to the logits of the next token.
class Words {
 public:
  Words(const DecoderConfig& config, Parameters& parameters)
      : words_(table(config.llama ? "model.embed_tokens" : "transformer.wte", config.vocabulary,
                     config, parameters)),
        positions_(config.llama ? Tensor()
                                : table("transformer.wpe", config.positions, config, parameters)),
        norm_(make_norm(config.llama ? "model.norm" : "transformer.ln_f", config, parameters)),
        head_(config.tied ? words_ : table("lm_head", config.vocabulary, config, parameters), {}) {}

  /// numbers, positions int64 [rows] -> [rows, dim].
  Tensor embed(const Tensor& numbers, const Tensor& positions) const {
    const Tensor words = at::embedding(words_, numbers);
    if (!positions_.defined()) return words;
    return words + at::embedding(positions_, positions.to(words.device()));
  }

  /// states [rows, dim] -> [rows, vocabulary].
  Tensor logits(const Tensor& states, Pass& pass) const {
    return head_.forward(norm_.forward(states, pass.context), pass.context).to(at::kFloat);
  }

 private:
  static Tensor table(const char* name, int64_t rows, const DecoderConfig& config,
                      Parameters& parameters) {
    return parameters.add(std::string(name) + ".weight", {rows, config.dim},
                          Initial::normal(config.initializer_range));
  }

  Tensor words_, positions_;
  kernels::Norm norm_;
  kernels::Linear head_;
};

class Decoder : public Model {
 public:
  Decoder(json config, const std::string& where, std::unique_ptr<Parameters> parameters,
          const MapBuilder& build_map, const DepthBuilder& build_depth)
      : json_(std::move(config)),
        config_(DecoderConfig::from_json(json_, where)),
        parameters_(std::move(parameters)),
        words_(config_, *parameters_),
        stack_{make_blocks(build_map),
               [this](const Tensor& states, Pass& pass) { return read_out(states, pass); }},
        depth_(build_depth(
            {.blocks = config_.layers, .dim = config_.dim, .deviation = config_.initializer_range},
            *parameters_)) {}

  Tensor forward(const Tensor& inputs, Pass& pass) const override {
    pass.sequences = text_sequences(inputs, config_.positions);
    if (pass.memory && std::ssize(pass.memory->tokens) != pass.sequences.count()) {
      fail("a memory of {} sequences with inputs of {}", pass.memory->tokens.size(),
           pass.sequences.count());
    }
    pass.ledger.open(pass.sequences);
    const Tensor tokens = pass.sequences.unpad(inputs.narrow(1, 0, pass.sequences.longest()));
    check_tokens(tokens, 0, "number in the vocabulary", config_.vocabulary);
    pass.positions = place(pass);
    const Tensor logits =
        depth_->run(words_.embed(tokens.select(1, 0), pass.positions), stack_, pass);
    if (pass.memory) {
      for (size_t i = 0; i < pass.memory->tokens.size(); ++i) {
        pass.memory->tokens[i] += pass.sequences.length(static_cast<int64_t>(i));
      }
    }
    if (pass.last_only) return logits.unsqueeze(1);
    const int64_t missing = inputs.size(1) - pass.sequences.longest();
    return at::constant_pad_nd(pass.sequences.pad(logits), {0, 0, 0, missing});
  }

  Tensor dense_macs(const Tensor& inputs) const override {
    const Tensor n = text_sequences(inputs, config_.positions).lengths().to(at::kDouble);
    int64_t token = 0;
    for (const MapSpec& spec : specs_) token += spec.dense_macs();
    const auto pair = static_cast<double>(2 * config_.query_width() * config_.layers);
    return n * (static_cast<double>(token) + answer_macs()) + n * (n + 1) / 2 * pair;
  }

  double answer_macs() const override {
    return static_cast<double>(config_.dim * config_.vocabulary);
  }
  std::optional<Memory> remember(int64_t sequences) const override {
    return Memory(config_.layers, sequences);
  }
  const std::vector<MapSpec>& maps() const override { return specs_; }
  const json& config() const override { return json_; }
  Parameters& parameters() override { return *parameters_; }
  std::vector<std::string> labels() const override { return {}; }

 private:
  std::vector<std::unique_ptr<Block>> make_blocks(const MapBuilder& build_map) {
    if (config_.llama) rotary_.emplace(config_.head_width, config_.rotary_base, config_.positions);
    std::vector<std::unique_ptr<Block>> blocks;
    for (int64_t block = 0; block < config_.layers; ++block) {
      const std::vector<MapSpec> own = block_specs(config_, block);
      blocks.push_back(std::make_unique<DecoderBlock>(
          config_, block, own, rotary_ ? &*rotary_ : nullptr, build_map, *parameters_));
      specs_.insert(specs_.end(), own.begin(), own.end());
    }
    return blocks;
  }

  /// Where the tokens of a pass stand in their sequences, int64 [rows].
  Tensor place(const Pass& pass) const {
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < pass.sequences.count(); ++i) {
      const int64_t before = pass.memory ? pass.memory->tokens[static_cast<size_t>(i)] : 0;
      const int64_t length = pass.sequences.length(i);
      if (before + length > config_.positions) {
        fail("a sequence of {} tokens; this model takes 1..{}", before + length, config_.positions);
      }
      for (int64_t token = 0; token < length; ++token) positions.push_back(before + token);
    }
    return at::tensor(positions, at::kLong);
  }

  Tensor read_out(const Tensor& states, Pass& pass) const {
    if (!pass.last_only) {
      pass.ledger.charge_tokens(answer_macs());
      return words_.logits(states, pass);
    }
    pass.ledger.charge(answer_macs());
    const kernels::Sequences& sequences = pass.sequences;
    const Tensor last = sequences.begins() + sequences.lengths() - 1;
    return words_.logits(states.index_select(0, last.to(states.device())), pass);
  }

  json json_;
  DecoderConfig config_;
  std::unique_ptr<Parameters> parameters_;
  std::vector<MapSpec> specs_;
  std::optional<kernels::Rotary> rotary_;  ///< of Llama
  Words words_;
  Stack stack_;
  std::unique_ptr<DepthPolicy> depth_;
};

}  // namespace

std::unique_ptr<Model> make_decoder(const json& config, const std::string& where,
                                    std::unique_ptr<Parameters> parameters,
                                    const MapBuilder& build_map, const DepthBuilder& build_depth) {
  return std::make_unique<Decoder>(config, where, std::move(parameters), build_map, build_depth);
}

}  // namespace pace
