#pragma once

#include <functional>
#include <map>
#include <string>

#include "pace/base/files.h"
#include "pace/data/loader.h"
#include "pace/train/optimizer.h"

namespace pace {

/// How long and how fast one phase of training runs.
struct PhaseOptions {
  std::string name = "train";  ///< shown and written into metrics and checkpoint
  double epochs = 1.0;         ///< may be a fraction
  int64_t warmup_steps = 0;
  double floor = 0.0;          ///< of the cosine schedule, as a share of the base rate
  double clip_norm = 1.0;
  double checkpoint_seconds = 60.0;
  bool bf16 = false;           ///< autocast to bfloat16 while the objective runs
  uint64_t seed = 0;
};

/// Named figures of one step, written to metrics.jsonl as means over a reporting interval.
using StepFigures = std::map<std::string, double>;

/// Computes the loss of a batch and leaves the gradients in the parameters (which were zeroed). All its
/// randomness comes from `generator`, which is seeded by (seed, step): nothing else needs to be stored to resume.
using Objective = std::function<StepFigures(const Batch& batch, at::Generator& generator)>;

/// Called at the end of each epoch; its figures go to metrics.jsonl beside the epoch.
using EpochHook = std::function<StepFigures(int64_t epoch)>;

/// Runs one phase over a loader, writing `metrics.jsonl` and `checkpoint.safetensors` in the run folder. A
/// phase that finds its own checkpoint there goes on from it; one that finds a later phase's returns at once
/// with that phase's parameters untouched (the later phase will load them).
class Trainer {
 public:
  /// `phases` names all phases of the run in order.
  Trainer(const fs::path& run_folder, std::vector<std::string> phases, Reporter& reporter);

  void run(const PhaseOptions& options, Loader& loader, std::vector<ParameterGroup> groups,
           const Objective& objective, const EpochHook& hook = {});

  /// Stops after this many more steps in all, as a killed process would, with a checkpoint; for tests.
  void stop_after(int64_t steps) { stop_after_ = steps; }
  /// Whether stop_after ended the run.
  bool stopped() const { return stopped_; }

 private:
  fs::path folder_;
  std::vector<std::string> phases_;
  Reporter& reporter_;
  int64_t stop_after_ = -1;
  bool stopped_ = false;
};

}  // namespace pace
