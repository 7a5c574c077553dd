#pragma once

#include "pace/train/finetune.h"

namespace pace {

/// How a backbone with halting stages is trained, all of it together.
struct HaltingTraining {
  FinetuneOptions finetune;
  double ponder = 0.01;  ///< weight of the ponder cost, tau
  /// Every second batch or so draws u in (0, 1), counts the ponder cost as (1 - u) tau and lowers
  /// all halting logits by range * u / (1 - u), so that one network serves the budgets above its
  /// own up to that at which nothing halts. 0: never, as published.
  double range = 2.0;
};

/// Trains by cross-entropy against the loader's targets, and tau times the sum over stages of the
/// mean ponder cost (arXiv 1612.02297, eq. 11; arXiv 1712.00386), or of that of a token. Batch
/// norms keep the dense network's statistics, since those of drawn halting are not those of
/// inference. Figures: "loss", "accuracy", and "units", the mean number of units or steps that a
/// position or token runs. Throws Error when the model does not halt, or model and data differ in
/// their number of classes.
void train_halting(LoadedModel& loaded, const HaltingTraining& options, Loader& loader,
                   Trainer& trainer, const EpochHook& hook = {});

}  // namespace pace
