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
  /// Samples between the beginnings of windows of `length`. Throws UsageError when that is not in
  /// (0, length].
  int64_t hop(int64_t rate, int64_t length) const;

 private:
  int64_t rate_ = 0;
  double hop_ = 0.0;  ///< seconds; 0: half a window
};

}  // namespace pace::cli
