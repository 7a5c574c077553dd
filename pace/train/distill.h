#pragma once

#include "pace/models/factory.h"
#include "pace/train/trainer.h"

namespace pace {

enum class InitKind { kOrdered, kRandom };

/// Phase lengths, rates and loss weights of ACM training (arXiv 2312.10193, sections 3 and 4).
struct DistillOptions {
  AcmConfig acm;
  InitKind init = InitKind::kOrdered;
  int64_t statistics_examples = 1024;  ///< whose activations order the hidden units
  double full_weight = 1.0;            ///< extra weight of k = N in Phase 1, in units of all other k together
  bool ratio_labels = false;           ///< Phase 2 labels by the paper's ratio rule instead of by price
  double ratio = 0.833;                ///< tau of the ratio rule
  double epochs1 = 2, epochs2 = 1, epochs3 = 10;
  double rate1 = 1e-3, rate2 = 1e-2, rate3 = 1e-4;
  double gate_rate3 = 1e-3;            ///< rate of the gates in Phase 3
  double budget_low = 0.2, budget_high = 0.9;  ///< the budget of each batch is drawn between
  double weight_budget = 0.1, weight_entropy = 0.05, weight_diversity = 0.05;
  double weight_distill = 1.0;         ///< of KL to the dense model's logits in Phase 3, beside cross-entropy
  double clip_norm = 1.0;
  double checkpoint_seconds = 60.0;
  bool bf16 = false;
  uint64_t seed = 0;
};

/// Makes a dense model adaptive: initial learners from its weights and activations, then the three phases.
/// Returns the trained adaptive model, uncalibrated.
LoadedModel distill(const LoadedModel& dense, const DistillOptions& options, Loader& loader,
                    Trainer& trainer, const EpochHook& hook);

}  // namespace pace
