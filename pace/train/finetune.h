#pragma once

#include <optional>

#include "pace/models/factory.h"
#include "pace/train/trainer.h"

namespace pace {

/// How a dense classifier is trained.
struct FinetuneOptions {
  double epochs = 1.0;
  double learning_rate = 5e-5;      ///< of the backbone
  std::optional<double> head_rate;  ///< of the classifier; learning_rate when absent
  double weight_decay =
      0.05;  ///< not on biases, norms, layer scales, class token and position embeddings
  int64_t warmup_steps = 0;
  double floor = 0.0;  ///< of the cosine schedule, as a share of the rates
  double clip_norm = 1.0;
  double checkpoint_seconds = 60.0;
  int64_t accumulate = 1;  ///< batches whose mean gradient makes a step
  bool bf16 = false;
  bool freeze_backbone = false;  ///< only the classifier trains
  uint64_t seed = 0;
};

/// Name of the one phase that `trainer` must know.
inline constexpr const char* kFinetunePhase = "train";

/// Trains a model by cross-entropy against the loader's targets. Figures: "loss", "accuracy"
/// (against the unmixed labels). Throws Error when model and data differ in their number of
/// classes.
void finetune(LoadedModel& loaded, const FinetuneOptions& options, Loader& loader, Trainer& trainer,
              const EpochHook& hook = {});

/// The one phase of such a training.
PhaseOptions finetune_phase(const FinetuneOptions& options);

/// Throws Error when model and data differ in their number of classes.
void check_classes(const LoadedModel& loaded, const Loader& loader);

/// The groups in which a model's parameters are trained: backbone and heads, each with and
/// without decay.
std::vector<ParameterGroup> finetune_groups(const Parameters& parameters,
                                            const FinetuneOptions& options);

}  // namespace pace
