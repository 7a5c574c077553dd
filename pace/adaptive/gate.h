#pragma once

#include "pace/adaptive/seams.h"
#include "pace/kernels/gate.h"
#include "pace/kernels/prepared.h"

namespace pace {

/// How a part chooses among its widths k = minimum..N.
enum class GateKind {
  kLearned,  ///< a small network per token (ACM)
  kStatic,   ///< every token of a part takes the same k: the baseline without gates
};

struct GateShape {
  GateKind kind = GateKind::kLearned;
  int64_t in = 0;
  int64_t hidden = 16;
  int64_t learners = 4;  ///< N
  int64_t minimum = 0;   ///< smallest k allowed
  double temperature = 0.8;
  double phase = 0.5;  ///< in [0, 1), spreads the rounding of a static k over the parts
};

/// The gate of an adaptive computation module: linear, GELU, linear on the token, logits over
/// k = minimum..N (arXiv 2312.10193, section 3). It is also told the budget of the pass, through a
/// learned direction added to its hidden layer, so that one gate serves every budget.
///
/// A static gate sees no token: its logits are a parabola whose top the price moves from k = N
/// (price 0) to k = 0 (price 1), so that one dial serves both kinds. A learned gate begins as the
/// static one.
class Gate {
 public:
  /// Parameters are named `<prefix>.in_weight` [hidden, in], `.in_bias`, `.budget_weight` [hidden],
  /// `.out_weight` [N+1-minimum, hidden] and `.out_bias`; a static gate has none.
  Gate(const GateShape& shape, const std::string& prefix, Parameters& parameters);

  /// tokens [..., in] -> float [..., N+1-minimum], with the price of the pass taken off.
  Tensor logits(const Tensor& tokens, Pass& pass) const;

  /// The best k of each token, the smaller of equals: [rows, in] -> int64 [rows]. Records no
  /// gradients.
  Tensor best(const Tensor& rows, Pass& pass) const;

  /// A differentiable choice: [..., in] -> float [..., N+1], one-hot in value with the gradient of
  /// the softmax (straight-through); Gumbel noise added as the pass says.
  Tensor relaxed(const Tensor& tokens, Pass& pass) const;

  const GateShape& shape() const { return shape_; }
  double macs_per_token() const;

 private:
  /// What the gate makes of the tokens, before the price is taken off.
  Tensor scores(const Tensor& tokens, Pass& pass) const;
  /// float [N+1-minimum]: what a price takes off each logit.
  Tensor charge(double price) const;
  /// What a budget is multiplied by before it goes along the gate's learned direction.
  static float budget_share(double budget) { return static_cast<float>(2.0 * budget - 1.0); }

  GateShape shape_;
  Tensor in_weight_, in_bias_, budget_weight_, out_weight_;
  Tensor out_bias_;  ///< of a static gate its logits
  kernels::PreparedFor<kernels::PackedGate> packed_;
};

}  // namespace pace
