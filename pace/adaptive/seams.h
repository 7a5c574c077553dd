#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pace/adaptive/parameters.h"
#include "pace/adaptive/pass.h"
#include "pace/kernels/mlp.h"

namespace pace {

/// The width seam: a token-wise map inside a block. Dense by default; a method that decides how
/// much of it runs for each token replaces it.
class TokenMap {
 public:
  virtual ~TokenMap() = default;
  /// tokens [rows, in] -> [rows, out]; charges its work to the pass's ledger.
  virtual Tensor forward(const Tensor& tokens, Pass& pass) const = 0;
};

/// Which map of a block: the MLP or a projection of the attention.
enum class MapKind { kMlp, kQuery, kKey, kValue, kOutput, kQueryKeyValue };
/// "mlp", "query", "key", "value", "output", "query-key-value" (three at once)
const char* to_string(MapKind kind);
/// The kind of that name; throws Error naming `where` and the six names.
MapKind map_kind(const std::string& name, const std::string& where);

/// What a backbone says of a token-wise map when it asks for one to be built.
struct MapSpec {
  std::string site;  ///< unique in the model: "layer.<block>.<kind>"
  int block = 0;
  MapKind kind = MapKind::kMlp;
  int64_t in = 0, hidden = 0, out = 0;  ///< hidden is 0 for a projection
  bool bias = true;
  kernels::Activation activation = kernels::Activation::kGelu;
  bool gated = false;       ///< an MLP out(activation(gate(x)) * in(x)), as in Llama
  bool transposed = false;  ///< weights are [in, out], as in GPT-2
  /// Names of the dense tensors in the model folder, without ".weight"/".bias": one for a
  /// projection; for an MLP in, out and, when gated, gate.
  std::vector<std::string> dense_names;
  double deviation = 0.02;  ///< of the dense weights' initial values, when training from scratch

  int64_t dense_macs() const {  ///< per token
    return hidden ? (in + out + (gated ? in : 0)) * hidden : in * out;
  }
};

/// Builds the map of a spec with its parameters. The backbone calls it for every map of every
/// block.
using MapBuilder = std::function<std::unique_ptr<TokenMap>(const MapSpec&, Parameters&)>;

/// The dense map of a spec, with Hugging Face's tensors: linear, or linear-activation-linear.
std::unique_ptr<TokenMap> dense_map(const MapSpec& spec, Parameters& parameters);

/// A block of the backbone as the depth seam sees it.
class Block {
 public:
  virtual ~Block() = default;
  /// states [rows, dim], a row for each token of pass.sequences -> the same shape.
  virtual Tensor forward(const Tensor& states, Pass& pass) const = 0;
};

/// What a backbone makes of the states after its last block: states [rows, dim] -> logits [batch,
/// classes]. It charges its work.
using Readout = std::function<Tensor(const Tensor& states, Pass& pass)>;

/// What runs between the embeddings and the answer.
struct Stack {
  std::vector<std::unique_ptr<Block>> blocks;
  Readout readout;
};

/// The depth seam: decides unit by unit which blocks run. A policy that halts or routes replaces
/// RunAll.
class DepthPolicy {
 public:
  virtual ~DepthPolicy() = default;
  /// states [rows, dim] before the first block -> logits [batch, classes], the backbone's own
  /// readout of the last states or what the policy puts in its place.
  virtual Tensor run(const Tensor& states, const Stack& stack, Pass& pass) const = 0;
};

/// What a backbone says of its blocks when it asks for a depth policy.
struct DepthSpec {
  int64_t blocks = 0;
  int64_t dim = 0;          ///< columns of the states that a policy looks at
  int64_t classes = 0;      ///< that the readout tells apart; 0 where it gives states
  double deviation = 0.02;  ///< of initial weights
  std::string stage = {};   ///< its name, in a backbone that has several stacks of blocks
  bool maps = false;        ///< whether states are positions of feature maps
  /// Columns [begin, begin + dim) of the states are what tells when to stop; the rest, such as the
  /// cells of an LSTM, have no bounds.
  int64_t begin = 0;
};

/// Builds the policy of a spec with its parameters.
using DepthBuilder = std::function<std::unique_ptr<DepthPolicy>(const DepthSpec&, Parameters&)>;

/// The state of each sequence's first token, in which classifiers look: states [rows, dim] ->
/// [running examples, dim].
Tensor first_tokens(const Tensor& states, const Pass& pass);

/// Every block, and the backbone's own readout.
class RunAll : public DepthPolicy {
 public:
  Tensor run(const Tensor& states, const Stack& stack, Pass& pass) const override;
};
std::unique_ptr<DepthPolicy> run_all(const DepthSpec& spec, Parameters& parameters);

}  // namespace pace
