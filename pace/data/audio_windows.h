#pragma once

#include <optional>

#include "pace/io/audio.h"

namespace pace {

/// A part of a sound, between two moments in seconds.
struct AudioWindow {
  Audio audio;
  double begin = 0.0, end = 0.0;
};

/// Windows of a sound of any length, of which only one is held at a time. The first begins with the
/// sound and is shorter than the others where the sound is; the last ends with it.
class AudioWindows {
 public:
  /// Windows of `length` samples at `rate`, each `hop` <= length behind the one before. `source`
  /// must outlive them.
  AudioWindows(AudioSource& source, int64_t rate, int64_t length, int64_t hop);

  /// The next one, or nothing at the end.
  std::optional<AudioWindow> next();

 private:
  ResampledSource source_;
  int64_t length_, hop_;
  at::Tensor window_;
  int64_t end_ = 0;  ///< samples read
};

}  // namespace pace
