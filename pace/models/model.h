#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "pace/adaptive/seams.h"

namespace pace {

using nlohmann::json;

/// A classifier or language model whose blocks have the two seams.
class Model {
 public:
  virtual ~Model() = default;
  /// Inputs [batch, ...] -> logits [batch, classes]. Opens the pass's ledger.
  virtual Tensor forward(const Tensor& inputs, Pass& pass) const = 0;
  /// MACs of the dense original for each example of such inputs: double [batch].
  virtual Tensor dense_macs(const Tensor& inputs) const = 0;
  /// MACs of one answer: of a language model those of one token's logits, which dense_macs() counts
  /// for every token.
  virtual double answer_macs() const { return 0.0; }
  /// Memory for so many sequences; none where a model cannot go on behind tokens it has seen.
  virtual std::optional<Memory> remember(int64_t /*sequences*/) const { return std::nullopt; }
  /// The specs of its width seams, in order of execution.
  virtual const std::vector<MapSpec>& maps() const = 0;
  /// The Hugging Face config (without "pace").
  virtual const json& config() const = 0;
  virtual Parameters& parameters() = 0;
  const Parameters& parameters() const { return const_cast<Model*>(this)->parameters(); }
  /// Names of the classes in order of the logits; a language model has none.
  virtual std::vector<std::string> labels() const = 0;
};

}  // namespace pace
