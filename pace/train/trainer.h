#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "pace/base/files.h"
#include "pace/base/progress.h"
#include "pace/data/loader.h"
#include "pace/io/safetensors.h"
#include "pace/train/optimizer.h"

namespace pace {

/// How long and how fast one phase of training runs.
struct PhaseOptions {
  std::string name = "train";  ///< shown and written into metrics and checkpoint
  double epochs = 1.0;         ///< may be a fraction
  int64_t warmup_steps = 0;
  double floor = 0.0;  ///< of the cosine schedule, as a share of the base rate
  double clip_norm = 1.0;
  double checkpoint_seconds = 60.0;
  int64_t accumulate = 1;  ///< batches whose mean gradient makes a step
  bool bf16 = false;       ///< autocast to bfloat16 while the objective runs
  uint64_t seed = 0;
};

/// Steps that so many batches make; the last one may have fewer of them.
inline int64_t steps_of(int64_t batches, int64_t accumulate) {
  return (batches + accumulate - 1) / accumulate;
}

/// Named figures of one step, written to metrics.jsonl as means over a reporting interval.
using StepFigures = std::map<std::string, double>;

/// MACs of a batch's forward pass; a step takes about three times as many.
inline constexpr const char* kMacs = "macs";

/// Computes the loss of a batch and leaves the gradients in the parameters (which were cleared).
/// All its randomness comes from `generator`, which is seeded by (seed, phase, batch): besides the
/// tensors it changes, nothing needs to be stored to resume. A figure that is NaN or infinite ends
/// the run with an Error. The figure kMacs is not averaged but summed up from the phase's
/// beginning.
using Objective = std::function<StepFigures(const Batch& batch, at::Generator& generator)>;

/// Called without gradients when `epoch` epochs (counted from 1) are over, and at the end of the
/// phase; its figures go to metrics.jsonl beside the epoch.
using EpochHook = std::function<StepFigures(int64_t epoch)>;

/// Runs the phases of one training run over a loader, writing `metrics.jsonl` and
/// `checkpoint.safetensors` in the run folder. All phases are run in order, also in a resumed run:
/// a phase that is over by the checkpoint returns at once without touching the parameters, the
/// phase of the checkpoint loads it and goes on from there.
class Trainer {
 public:
  /// Their file names in the run folder.
  static constexpr const char* kCheckpoint = "checkpoint.safetensors";
  static constexpr const char* kMetrics = "metrics.jsonl";

  /// `phases` names all phases of the run in order; `parameters` are all parameters that any of
  /// them trains (of a whole model, usually) and all other tensors that an objective changes: the
  /// checkpoint holds them all.
  Trainer(const fs::path& run_folder, std::vector<std::string> phases, NamedTensors parameters,
          Reporter& reporter = quiet());

  /// Only the parameters of `groups` require gradients meanwhile. Throws Error when a loss or
  /// gradient is not finite, saying at which step and what to try, and when the checkpoint is of a
  /// run with another seed, length or batch count.
  void run(const PhaseOptions& options, Loader& loader, std::vector<ParameterGroup> groups,
           const Objective& objective, const EpochHook& hook = {});

  /// How much of the phase is done, in [0, 1); for objectives that change on the way.
  double progress() const { return progress_; }

  /// Stops after this many more steps in all, as a killed process would, with a checkpoint; for
  /// tests.
  void stop_after(int64_t steps) { stop_after_ = steps; }
  /// Whether stop_after ended the run.
  bool stopped() const { return stopped_; }

 private:
  /// Position of a phase among phases_; Error when it is none of them.
  size_t index_of(const std::string& phase) const;

  fs::path folder_;
  std::vector<std::string> phases_;
  NamedTensors parameters_;
  Reporter& reporter_;
  int64_t stop_after_ = -1;
  bool stopped_ = false;
  double progress_ = 0.0;
};

}  // namespace pace
