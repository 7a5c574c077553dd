#pragma once

#include "pace/adaptive/seams.h"

namespace pace {

/// How a part chooses among its N+1 widths k = 0..N.
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
  double phase = 0.5;    ///< kStatic: in (0, 1), spreads the rounding of k over the parts
};

/// The choices of one gate over a batch of tokens.
struct Choices {
  Tensor k;     ///< int64 [batch, tokens]; -1 at padding
  Tensor soft;  ///< relaxed: straight-through one-hot [batch, tokens, N+1]; undefined when executed
};

/// The gate of an adaptive computation module: linear, GELU, linear on the token, logits over k = minimum..N
/// (arXiv 2312.10193, section 3). It is also told the budget of the pass, through a learned direction added
/// to its hidden layer, so that one gate serves every budget.
class Gate {
 public:
  Gate(const GateShape& shape, const std::string& prefix, Parameters& parameters);

  /// Logits with the price of the pass taken off and choices below the minimum at -infinity:
  /// tokens [batch, tokens, in] -> float [batch, tokens, N+1].
  Tensor logits(const Tensor& tokens, Pass& pass) const;
  /// Relaxed: Gumbel-softmax with straight-through when sampling, argmax with straight-through
  /// otherwise. Executed: argmax.
  Choices choose(const Tensor& tokens, Pass& pass) const;

  const GateShape& shape() const { return shape_; }
  double macs_per_token() const;

 private:
  GateShape shape_;
  Tensor in_weight_, in_bias_, budget_weight_, out_weight_, out_bias_;
};

}  // namespace pace
