#pragma once

#include "pace/train/finetune.h"

namespace pace {

/// How a backbone with halting stages is trained, all of it together.
struct HaltingTraining {
  FinetuneOptions finetune;
  double ponder = 0.01;  ///< weight of the ponder cost, tau
};

/// Trains by cross-entropy against the loader's soft targets, and tau times the sum over stages of
/// the mean ponder cost (arXiv 1612.02297, eq. 11; arXiv 1712.00386). Figures: "loss", "accuracy",
/// and "units", the mean number of residual units that a position runs. Throws Error when the model
/// does not halt, or model and data differ in their number of classes.
void train_halting(LoadedModel& loaded, const HaltingTraining& options, Loader& loader,
                   Trainer& trainer, const EpochHook& hook = {});

}  // namespace pace
