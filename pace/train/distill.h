#pragma once

#include "pace/train/acm_init.h"
#include "pace/train/trainer.h"

namespace pace {

/// Which labels pre-train the gates in Phase 2.
enum class GateLabels {
  kPrice,  ///< what the budget told to the gate should buy (price_labels)
  kRatio,  ///< the paper's rule (ratio_labels), the same for every budget
};

/// Phase lengths, rates and loss weights of ACM training (arXiv 2312.10193, sections 3 and 4).
struct DistillOptions {
  AcmConfig acm;
  InitKind init = InitKind::kOrdered;
  int64_t statistics_examples = 1024;  ///< whose activations order the hidden units
  double full_share = 0.5;             ///< weight of k = N in Phase 1, of all k together
  GateLabels labels = GateLabels::kPrice;
  double ratio = 0.833;  ///< tau of the ratio rule
  double epochs1 = 2, epochs2 = 1, epochs3 = 10;
  double rate1 = 1e-3, rate2 = 1e-2, rate3 = 1e-4;
  double gate_rate3 = 1e-3;                    ///< rate of the gates in Phase 3
  double budget_low = 0.2, budget_high = 1.0;  ///< each batch's budget is drawn between them
  double noise = 0.0;  ///< of the gates' choices in Phase 3 (Pass::noise); the paper's is 1
  double weight_budget = 0.5, weight_entropy = 0.01, weight_diversity = 0.01;
  double weight_distill =
      1.0;  ///< of the KL divergence from the dense model's answer, beside cross-entropy
  double clip_norm = 1.0;  ///< in Phases 2 and 3; the modules of Phase 1 share no gradient
  double checkpoint_seconds = 60.0;
  int64_t accumulate = 1;  ///< batches whose mean gradient makes a step
  bool bf16 = false;
  uint64_t seed = 0;

  /// Throws UsageError naming the field that makes no sense.
  void check() const;
};

/// Measures the adaptive model at the end of each epoch of Phase 3, at a budget and the price that
/// met it in training.
using DistillHook =
    std::function<StepFigures(const LoadedModel& adaptive, double budget, double price)>;

/// Makes a dense model adaptive: initial learners from its weights and activations, then
///   Phase 1, module-wise distillation: every module alone learns to imitate the dense map at each
///   k; Phase 2, gate pre-training on labels computed from the frozen learners' errors; Phase 3,
///   end to end: cross-entropy, distillation from the dense model's answer, and the budget, entropy
///   and diversity losses, each batch at a budget of its own, held by a price (PriceControl), one
///   in eight at full width.
/// Static gates have nothing to learn: Phase 2 is left out and Phase 3 has no auxiliary losses.
/// Checkpoints and metrics go to `run_folder`. Returns the trained model, uncalibrated.
LoadedModel distill(const LoadedModel& dense, const DistillOptions& options, Loader& loader,
                    const fs::path& run_folder, Reporter& reporter, const DistillHook& hook = {});

}  // namespace pace
