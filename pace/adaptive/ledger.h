#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace pace {

using at::Tensor;

/// What one adaptive part decided in one pass.
struct Decision {
  std::string site;  ///< the part, e.g. "layer.3.mlp"
  Tensor choice;     ///< int64 [batch, tokens]: k of each token; -1 where the token is padding
  Tensor soft;  ///< float [batch, tokens, choices]: the same one-hot and differentiable; undefined
                ///< in executed form
  Tensor cost;  ///< double [choices]: MACs of each choice k = 0..N for one token
  int64_t minimum = 0;  ///< smallest k the part may choose
};

/// The account of one forward pass: every adaptive part records its decision, every part charges
/// the multiply-accumulates it executed. Losses, reports, heat maps and costs are read off it.
class Ledger {
 public:
  /// Begins the account of a batch of `batch` examples; the backbone calls it first.
  void open(int64_t batch);

  /// Work that is the same for every example: MACs per example.
  void charge(double macs_per_example);
  /// Work by example: double [batch].
  void charge(const Tensor& macs);
  /// A decision; its cost is charged too.
  void record(Decision decision);

  const std::vector<Decision>& decisions() const { return decisions_; }
  int64_t batch() const { return batch_; }

  /// MACs executed by each example: double [batch].
  Tensor macs() const;
  /// Mean MACs per example as a differentiable function of the soft decisions: float scalar.
  Tensor soft_macs() const;

 private:
  int64_t batch_ = 0;
  double fixed_ = 0.0;  ///< MACs per example that no example avoids
  Tensor by_example_;   ///< double [batch], what differs
  std::vector<Decision> decisions_;
};

}  // namespace pace
