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
enum class MapKind { kMlp, kQuery, kKey, kValue, kOutput };
const char* to_string(MapKind kind);  ///< "mlp", "query", "key", "value", "output"
/// The kind of that name; throws Error naming `where` and the five names.
MapKind map_kind(const std::string& name, const std::string& where);

/// What a backbone says of a token-wise map when it asks for one to be built.
struct MapSpec {
  std::string site;  ///< unique in the model: "layer.<block>.<kind>"
  int block = 0;
  MapKind kind = MapKind::kMlp;
  int64_t in = 0, hidden = 0, out = 0;  ///< hidden is 0 for a projection
  bool bias = true;                     ///< of a projection; an MLP always has both
  kernels::Activation activation = kernels::Activation::kGelu;
  /// Names of the dense tensors in the model folder, without ".weight"/".bias": one for a
  /// projection, two for an MLP.
  std::vector<std::string> dense_names;
  double deviation = 0.02;  ///< of the dense weights' initial values, when training from scratch

  int64_t dense_macs() const { return hidden ? (in + out) * hidden : in * out; }  ///< per token
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

/// The depth seam: decides unit by unit which blocks run. A policy that halts or routes replaces
/// RunAll.
class DepthPolicy {
 public:
  virtual ~DepthPolicy() = default;
  /// states [rows, dim] before the first block -> after the last one that ran.
  virtual Tensor run(const Tensor& states, const std::vector<std::unique_ptr<Block>>& blocks,
                     Pass& pass) const = 0;
};

class RunAll : public DepthPolicy {
 public:
  Tensor run(const Tensor& states, const std::vector<std::unique_ptr<Block>>& blocks,
             Pass& pass) const override;
};

}  // namespace pace
