#pragma once

#include <memory>

#include "pace/cli/options.h"
#include "pace/io/audio.h"

namespace pace::cli {

/// How long sounds are heard, and how standard input's are to be understood.
class StreamOptions {
 public:
  void declare(CLI::App& app);
  /// Throws UsageError where an option was given: for models that do not hear.
  void refuse() const;

  /// A file, or for "-" standard input, at `rate` where no other was given.
  std::unique_ptr<AudioSource> open(const std::string& input, int64_t rate) const;
  /// Whether sounds are heard in windows where the model could hear them whole.
  bool divides() const { return window_ > 0.0 || hop_ > 0.0; }
  /// Samples of a window for a model that hears `own` at a time, or 0 for any number. Throws
  /// UsageError where a model has its own and another was asked for.
  int64_t window(int64_t rate, int64_t own) const;
  /// Samples between the beginnings of windows of `length`. Throws UsageError when that is not in
  /// (0, length].
  int64_t hop(int64_t rate, int64_t length) const;

 private:
  int64_t rate_ = 0;
  double window_ = 0.0, hop_ = 0.0;  ///< seconds; 0: as declared
};

}  // namespace pace::cli
