#include "pace/adaptive/seams.h"

#include <fmt/ranges.h>

#include <utility>

#include "pace/base/error.h"

namespace pace {

namespace {

/// The layer `dense_names[which]` of a map.
kernels::Linear make_linear(const MapSpec& spec, size_t which, int64_t in, int64_t out,
                            Parameters& parameters) {
  const std::string& name = spec.dense_names.at(which);
  const auto [rows, columns] = spec.transposed ? std::pair(in, out) : std::pair(out, in);
  const Tensor weight =
      parameters.add(name + ".weight", {rows, columns}, Initial::normal(spec.deviation));
  const Tensor bias =
      spec.bias ? parameters.add(name + ".bias", {out}, Initial::zeros()) : Tensor();
  return {weight, bias, spec.transposed};
}

class DenseLinear : public TokenMap {
 public:
  DenseLinear(const MapSpec& spec, Parameters& parameters)
      : macs_(spec.dense_macs()), linear_(make_linear(spec, 0, spec.in, spec.out, parameters)) {}

  Tensor forward(const Tensor& tokens, Pass& pass) const override {
    pass.ledger.charge_tokens(static_cast<double>(macs_));
    return linear_.forward(tokens, pass.context);
  }

 private:
  int64_t macs_;
  kernels::Linear linear_;
};

/// An MLP that runs as one kernel.
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

/// An MLP of one product after another, which share the cores also where there is but one token.
class MlpOfProducts : public TokenMap {
 public:
  MlpOfProducts(const MapSpec& spec, Parameters& parameters)
      : macs_(spec.dense_macs()),
        activation_(spec.activation),
        in_(make_linear(spec, 0, spec.in, spec.hidden, parameters)),
        out_(make_linear(spec, 1, spec.hidden, spec.out, parameters)) {
    if (!spec.gated) return;
    gate_.reset(new kernels::Linear(make_linear(spec, 2, spec.in, spec.hidden, parameters)));
  }

  Tensor forward(const Tensor& tokens, Pass& pass) const override {
    pass.ledger.charge_tokens(static_cast<double>(macs_));
    if (!gate_) return out_.forward(in_.forward(tokens, pass.context, activation_), pass.context);
    const Tensor gate = gate_->forward(tokens, pass.context, activation_);
    return out_.forward(gate * in_.forward(tokens, pass.context), pass.context);
  }

 private:
  int64_t macs_;
  kernels::Activation activation_;
  kernels::Linear in_, out_;
  std::unique_ptr<kernels::Linear> gate_;  ///< null: none
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
    case MapKind::kQueryKeyValue:
      return "query-key-value";
  }
  fail("there is no kind of map with number {}", static_cast<int>(kind));
}

MapKind map_kind(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const MapKind kind : {MapKind::kMlp, MapKind::kQuery, MapKind::kKey, MapKind::kValue,
                             MapKind::kOutput, MapKind::kQueryKeyValue}) {
    if (name == to_string(kind)) return kind;
    known.emplace_back(to_string(kind));
  }
  fail("{}: there is no kind of map '{}'; there are {}", where, name, fmt::join(known, ", "));
}

std::unique_ptr<TokenMap> dense_map(const MapSpec& spec, Parameters& parameters) {
  if (!spec.hidden) return std::make_unique<DenseLinear>(spec, parameters);
  const bool one_kernel = !spec.gated && !spec.transposed && spec.bias;
  if (one_kernel) {
    return std::make_unique<DenseMlp>(spec, parameters);
  }
  return std::make_unique<MlpOfProducts>(spec, parameters);
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
