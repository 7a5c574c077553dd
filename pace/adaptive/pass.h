#pragma once

#include <ATen/ATen.h>

#include "pace/adaptive/ledger.h"
#include "pace/adaptive/memory.h"
#include "pace/kernels/context.h"
#include "pace/kernels/grid.h"

namespace pace {

enum class Form {
  kRelaxed,   ///< differentiable, may compute everything: training
  kExecuted,  ///< computes only what was chosen: inference
};

/// Everything that belongs to one forward pass and to no module: how to run, what budget was asked
/// for, the randomness, where the sequences lie, and the account of what happened.
struct Pass {
  Form form = Form::kExecuted;
  /// Wanted mean share of the dense model's MACs, in (0, 1]. Gates are told it.
  double budget = 1.0;
  /// What a choice is charged per share of its part's full width, in logits: choices are
  /// argmax_k(logit_k - price * k/N). Calibration finds the price that meets a budget
  /// exactly; 0 leaves the gates' own choice.
  double price = 0.0;
  /// Relaxed form: scale of the Gumbel noise added to the logits of a choice. 1 draws choices with
  /// the probabilities of their softmax, 0 takes the best one.
  double noise = 0.0;
  at::Generator generator;  ///< of the noise
  /// Which rows of the states are whose tokens; the backbone says it.
  kernels::Sequences sequences;
  /// Of backbones whose states halt: where the positions of the states lie.
  kernels::Grid grid;
  /// Rows of the states, int64 in rising order, that the next block renews where they lie while all
  /// others stay; undefined: all, in new memory. Of such backbones, executed form.
  Tensor active;
  /// Of decoders: int64 [rows], where the tokens of the states stand in their sequences.
  Tensor positions;
  Memory* memory = nullptr;  ///< of decoders: what came before; null: sequences are whole
  /// Of routed blocks: whether the tokens of a sequence compete for them, as in training, and not
  /// each is judged by itself, as in inference.
  bool compete = false;
  /// Of routed blocks for which tokens compete: how far their capacity is raised, 0 to 1: to all.
  double slack = 0.0;
  bool last_only = false;         ///< of decoders: whether only a sequence's last token is answered
  bool batch_statistics = false;  ///< training: batch norms use and learn the batch's statistics

  Ledger ledger;
  kernels::Context context;  ///< how the kernels run, and what they counted
};

}  // namespace pace
