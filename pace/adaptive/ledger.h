#pragma once

#include "pace/kernels/sequences.h"

#include <string>
#include <vector>

namespace pace {

using at::Tensor;

/// What one adaptive part decided in one pass.
struct Decision {
  std::string site;  ///< the part, e.g. "layer.3.mlp"
  Tensor choice;     ///< int64 [rows]: k of each token
  Tensor soft;       ///< float [rows, choices]: the same one-hot and differentiable; undefined in
                     ///< executed form
  Tensor cost;       ///< double [choices]: MACs of each choice k = 0..N for one token
  int64_t minimum = 0;  ///< smallest k the part may choose
};

/// The account of one forward pass: every adaptive part records its decision, every part charges
/// the multiply-accumulates it executed. Losses, reports, heat maps and costs are read off it.
class Ledger {
 public:
  /// Begins the account of a batch of examples of one sequence each; the backbone calls it first.
  void open(kernels::Sequences sequences);

  /// Work that is the same for every example, for every token, and for every pair of tokens of one
  /// sequence: MACs of one.
  void charge(double macs) { by_example_ += macs; }
  void charge_tokens(double macs) { by_token_ += macs; }
  void charge_pairs(double macs) { by_pair_ += macs; }
  /// A decision; its cost is charged too.
  void record(Decision decision);

  const std::vector<Decision>& decisions() const { return decisions_; }
  const kernels::Sequences& sequences() const { return sequences_; }

  /// MACs executed by each example: double [batch].
  Tensor macs() const;
  /// Mean MACs per example as a differentiable function of the soft decisions: float scalar.
  Tensor soft_macs() const;

 private:
  Tensor fixed() const;  ///< double [batch]: MACs of each example that no decision saves

  kernels::Sequences sequences_;
  double by_example_ = 0.0, by_token_ = 0.0, by_pair_ = 0.0;  ///< MACs that none avoids
  std::vector<Decision> decisions_;
};

}  // namespace pace
