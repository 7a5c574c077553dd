#pragma once

#include <optional>

#include "pace/io/safetensors.h"
#include "pace/train/metrics.h"
#include "pace/train/optimizer.h"

namespace pace {

/// How far a run is.
struct TrainProgress {
  std::string phase;
  int64_t step = 0;     ///< steps of the phase that are done
  int64_t total = 0;    ///< steps of the phase
  int64_t batches = 0;  ///< steps per epoch
  int64_t broken = 0;   ///< pictures the loader has left out
  uint64_t seed = 0;
  double seconds = 0.0;  ///< spent in the phase's steps
  double macs = 0.0;     ///< of their forward passes, as far as the objective says them
  Interval interval;     ///< not yet in metrics.jsonl
};

/// Writes parameters (as "parameter.<name>"), optimiser state and progress (in the file's
/// metadata), atomically.
void save_checkpoint(const fs::path& path, const TrainProgress& progress,
                     const NamedTensors& parameters, const AdamW& optimizer);

/// A checkpoint that lies in a run folder.
class Checkpoint {
 public:
  /// Nothing when there is no such file. Throws Error when it is broken or was written by a newer
  /// version.
  static std::optional<Checkpoint> open(const fs::path& path);

  const TrainProgress& progress() const { return progress_; }
  /// Throws Error, naming the file, when a tensor is missing or has another shape.
  void restore(const NamedTensors& parameters, AdamW& optimizer) const;

 private:
  explicit Checkpoint(const fs::path& path);

  fs::path path_;
  SafetensorsFile file_;
  TrainProgress progress_;
};

}  // namespace pace
