#pragma once

#include "pace/train/finetune.h"

namespace pace {

/// How a decoder with routed blocks is trained, all of it together.
struct ModTraining {
  FinetuneOptions finetune;
  /// Weight of the loss that teaches causal routing which tokens competed successfully. Nothing but
  /// a predictor learns from it; an auxiliary loss moves the router and the states before it too.
  double causal = 1.0;
  /// The dense model that a retrofit keeps to: its answers are wanted beside the right ones, and in
  /// the first half of the training the capacity falls from 1. Null: none.
  const LoadedModel* teacher = nullptr;
};

/// Trains by cross-entropy against the next tokens and, block by block, the mean binary
/// cross-entropy of causal routing against what the competition chose (arXiv 2404.02258); with a
/// teacher by the divergence from its answers too. Figures: "loss" (the first of these), "distill"
/// with a teacher, "accuracy", and "routed", the share of tokens that causal routing would
/// have routed alike. Throws Error when the model has no routed blocks, or does not learn from such
/// data.
void train_mod(LoadedModel& loaded, const ModTraining& options, Loader& loader, Trainer& trainer,
               const EpochHook& hook = {});

}  // namespace pace
