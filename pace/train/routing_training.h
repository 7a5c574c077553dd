#pragma once

#include "pace/train/finetune.h"

namespace pace {

/// How a decoder whose tokens are routed, round blocks or to experts, is trained, all of it
/// together.
struct RoutingTraining {
  FinetuneOptions finetune;
  /// Weight of the loss that teaches causal routing which tokens competed successfully. Nothing but
  /// a predictor learns from it; an auxiliary loss moves the router and the states before it too.
  double causal = 1.0;
  /// Weight of the loss that keeps the shares of tokens of a block's choices, its experts and the
  /// no-op, near the wanted ones.
  double balance = 0.01;
  /// The dense model that a retrofit keeps to: its answers are wanted beside the right ones, and in
  /// the first half of the training the capacity falls from 1. Null: none.
  const LoadedModel* teacher = nullptr;
};

/// Trains by cross-entropy against the next tokens and, block by block, of routed blocks the mean
/// binary cross-entropy of causal routing against what the competition chose (arXiv 2404.02258), of
/// experts the sum over the choices of f_i P_i / q_i (arXiv 2101.03961, eq. 4, for shares q_i that
/// need not be equal), f_i the share of tokens that took choice i and P_i its mean probability;
/// with a teacher by the divergence from its answers too. Figures: "loss" (the first of these),
/// "distill" with a teacher, "accuracy", "routed", the share of tokens that causal routing would
/// have routed alike, and "balance", the mean over blocks of the experts' sum, 1 at best. Throws
/// Error when the model has neither routed blocks nor experts, or does not learn from such data.
void train_routing(LoadedModel& loaded, const RoutingTraining& options, Loader& loader,
                   Trainer& trainer, const EpochHook& hook = {});

}  // namespace pace
