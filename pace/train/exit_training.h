#pragma once

#include "pace/train/finetune.h"

namespace pace {

/// How a model with exits is trained, all of it together: first fine-tune it without exits.
struct ExitTraining {
  FinetuneOptions finetune;
  /// DACT: weight of the ponder cost, the sum over blocks of what has not halted, p_n.
  double ponder = 0.02;
  /// DACT: the loss of the accumulated answer trains the exits too, and nothing else does.
  bool paper_loss = false;
  bool ponder_on_halting = false;  ///< the sum of the halting outputs h_n = p_n / p_(n-1) instead
};

/// Trains by cross-entropy against the loader's soft targets: the model by that of every exit,
/// which count alike, and DACT's halting units by that of the accumulated answer with the ponder
/// cost (arXiv 2109.11745). The paper's loss, where the accumulated answer trains everything, makes
/// a mixture of experts of the exits: the first ones hedge for the last instead of answering.
/// Figures: "loss", "accuracy" and, of DACT, "remaining", the mean over examples of the sum of p_n.
/// Throws Error when the model has no exits, or model and data differ in their number of classes.
void train_exits(LoadedModel& loaded, const ExitTraining& options, Loader& loader, Trainer& trainer,
                 const EpochHook& hook = {});

}  // namespace pace
