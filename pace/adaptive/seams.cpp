#include "pace/adaptive/seams.h"

#include <fmt/ranges.h>

#include "pace/base/error.h"

namespace pace {

namespace {

class DenseLinear : public TokenMap {
 public:
  DenseLinear(const MapSpec& spec, Parameters& parameters)
      : macs_(spec.dense_macs()), linear_(make_linear(spec, parameters)) {}

  Tensor forward(const Tensor& tokens, Pass& pass) const override {
    pass.ledger.charge_tokens(static_cast<double>(macs_));
    return linear_.forward(tokens, pass.context);
  }

 private:
  static kernels::Linear make_linear(const MapSpec& spec, Parameters& parameters) {
    const auto [weight, bias] =
        add_linear(spec.dense_names.at(0), spec.in, spec.out, spec.deviation, parameters,
                   spec.bias ? std::optional(0.0) : std::nullopt);
    return {weight, bias};
  }

  int64_t macs_;
  kernels::Linear linear_;
};

class DenseMlp : public TokenMap {
 public:
  DenseMlp(const MapSpec& spec, Parameters& parameters)
      : macs_(spec.dense_macs()), mlp_(make_mlp(spec, parameters)) {}

  Tensor forward(const Tensor& tokens, Pass& pass) const override {
    pass.ledger.charge_tokens(static_cast<double>(macs_));
    return mlp_.forward(tokens, pass.context);
  }

 private:
  static kernels::Mlp make_mlp(const MapSpec& spec, Parameters& parameters) {
    const auto [in_weight, in_bias] =
        add_linear(spec.dense_names.at(0), spec.in, spec.hidden, spec.deviation, parameters);
    const auto [out_weight, out_bias] =
        add_linear(spec.dense_names.at(1), spec.hidden, spec.out, spec.deviation, parameters);
    return {in_weight, in_bias, out_weight, out_bias, spec.activation};
  }

  int64_t macs_;
  kernels::Mlp mlp_;
};

}  // namespace

const char* to_string(MapKind kind) {
  switch (kind) {
    case MapKind::kMlp:
      return "mlp";
    case MapKind::kQuery:
      return "query";
    case MapKind::kKey:
      return "key";
    case MapKind::kValue:
      return "value";
    case MapKind::kOutput:
      return "output";
  }
  fail("there is no kind of map with number {}", static_cast<int>(kind));
}

MapKind map_kind(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const MapKind kind :
       {MapKind::kMlp, MapKind::kQuery, MapKind::kKey, MapKind::kValue, MapKind::kOutput}) {
    if (name == to_string(kind)) return kind;
    known.emplace_back(to_string(kind));
  }
  fail("{}: there is no kind of map '{}'; there are {}", where, name, fmt::join(known, ", "));
}

std::unique_ptr<TokenMap> dense_map(const MapSpec& spec, Parameters& parameters) {
  if (spec.hidden) return std::make_unique<DenseMlp>(spec, parameters);
  return std::make_unique<DenseLinear>(spec, parameters);
}

Tensor first_tokens(const Tensor& states, const Pass& pass) {
  return states.index_select(0, pass.sequences.begins().to(states.device()));
}

Tensor RunAll::run(const Tensor& states, const Stack& stack, Pass& pass) const {
  Tensor current = states;
  for (const std::unique_ptr<Block>& block : stack.blocks) current = block->forward(current, pass);
  return stack.readout(current, pass);
}

std::unique_ptr<DepthPolicy> run_all(const DepthSpec&, Parameters&) {
  return std::make_unique<RunAll>();
}

}  // namespace pace
