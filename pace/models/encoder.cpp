#include "pace/models/encoder.h"

#include <fmt/format.h>

#include <utility>

#include "pace/kernels/attention.h"

namespace pace {

namespace {

std::vector<MapSpec> block_specs(const EncoderShape& shape, const BlockNames& names, int block) {
  const auto spec = [&](MapKind kind, int64_t hidden, std::vector<std::string> dense_names) {
    MapSpec made;
    made.site = fmt::format("layer.{}.{}", block, to_string(kind));
    made.block = block;
    made.kind = kind;
    made.in = made.out = shape.dim;
    made.hidden = hidden;
    made.bias = hidden > 0 || kind == MapKind::kOutput || shape.qkv_bias;
    made.dense_names = std::move(dense_names);
    made.activation = shape.activation;
    made.deviation = shape.initializer_range;
    return made;
  };
  return {spec(MapKind::kQuery, 0, {names.query}), spec(MapKind::kKey, 0, {names.key}),
          spec(MapKind::kValue, 0, {names.value}), spec(MapKind::kOutput, 0, {names.output}),
          spec(MapKind::kMlp, shape.hidden, {names.mlp_in, names.mlp_out})};
}

class EncoderBlock : public Block {
 public:
  EncoderBlock(const EncoderShape& shape, const BlockNames& names,
               const std::vector<MapSpec>& specs, const MapBuilder& build_map,
               Parameters& parameters)
      : heads_(shape.heads),
        post_norm_(shape.post_norm),
        norm1_(make_norm(names.norm1, shape, parameters)),
        query_(build_map(specs[0], parameters)),
        key_(build_map(specs[1], parameters)),
        value_(build_map(specs[2], parameters)),
        output_(build_map(specs[3], parameters)),
        norm2_(make_norm(names.norm2, shape, parameters)),
        mlp_(build_map(specs[4], parameters)) {
    if (names.scale1.empty()) return;
    const Initial initial = Initial::constant(shape.layer_scale);
    scale1_ = parameters.add(names.scale1, {shape.dim}, initial);
    scale2_ = parameters.add(names.scale2, {shape.dim}, initial);
  }

  Tensor forward(const Tensor& states, Pass& pass) const override {
    if (post_norm_) {
      const Tensor attended =
          norm1_.add(states, attend(states, pass), scale1_, pass.context).second;
      return norm2_.add(attended, mlp_->forward(attended, pass), scale2_, pass.context).second;
    }
    const auto [attended, normed] = norm2_.add(
        states, attend(norm1_.forward(states, pass.context), pass), scale1_, pass.context);
    return kernels::add_scaled(attended, mlp_->forward(normed, pass), scale2_);
  }

 private:
  Tensor attend(const Tensor& tokens, Pass& pass) const {
    const Tensor query = query_->forward(tokens, pass), key = key_->forward(tokens, pass);
    const Tensor value = value_->forward(tokens, pass);
    pass.ledger.charge_pairs(2.0 * static_cast<double>(tokens.size(1)));
    const Tensor mixed =
        kernels::attention(query, key, value, {heads_, heads_}, pass.sequences, pass.context);
    return output_->forward(mixed, pass);
  }

  int64_t heads_;
  bool post_norm_;
  kernels::Norm norm1_;
  std::unique_ptr<TokenMap> query_, key_, value_, output_;
  kernels::Norm norm2_;
  std::unique_ptr<TokenMap> mlp_;
  Tensor scale1_, scale2_;
};

}  // namespace

std::vector<std::unique_ptr<Block>> make_encoder(
    const EncoderShape& shape, const std::function<BlockNames(int64_t block)>& names,
    const MapBuilder& build_map, Parameters& parameters, std::vector<MapSpec>& specs) {
  std::vector<std::unique_ptr<Block>> blocks;
  for (int64_t block = 0; block < shape.layers; ++block) {
    const BlockNames own_names = names(block);
    const std::vector<MapSpec> own = block_specs(shape, own_names, static_cast<int>(block));
    blocks.push_back(std::make_unique<EncoderBlock>(shape, own_names, own, build_map, parameters));
    specs.insert(specs.end(), own.begin(), own.end());
  }
  return blocks;
}

DepthSpec depth_spec(const EncoderShape& shape, int64_t classes) {
  return {shape.layers, shape.dim, classes, shape.initializer_range};
}

double encoder_macs(const EncoderShape& shape, int64_t tokens) {
  const int64_t by_token = shape.dim * (4 * shape.dim + 2 * shape.hidden);
  const int64_t by_pair = 2 * shape.dim;
  return static_cast<double>(shape.layers * tokens * (by_token + by_pair * tokens));
}

kernels::Linear make_linear(const std::string& name, int64_t in, int64_t out, double deviation,
                            Parameters& parameters) {
  const auto [weight, bias] = add_linear(name, in, out, deviation, parameters);
  return {weight, bias};
}

kernels::Norm make_norm(const std::string& name, const EncoderShape& shape,
                        Parameters& parameters) {
  const Tensor weight = parameters.add(name + ".weight", {shape.dim}, Initial::ones());
  return {weight, parameters.add(name + ".bias", {shape.dim}, Initial::zeros()),
          shape.norm_epsilon};
}

}  // namespace pace
