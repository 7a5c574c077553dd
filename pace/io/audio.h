#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "pace/base/files.h"

namespace pace {

/// Sound of one channel.
struct Audio {
  at::Tensor samples;  ///< float32 [samples], full scale is -1 to 1
  int64_t rate = 0;    ///< samples per second
};

/// A WAV or FLAC file (told apart by content; other formats of libsndfile are read too), read from
/// the beginning on. Integer samples are divided by their full scale, 2^15 for 16 bits; several
/// channels are mixed to their mean.
class AudioFile {
 public:
  /// Throws Error naming the file when it is missing, of another kind, damaged, or without samples.
  explicit AudioFile(const fs::path& path);
  ~AudioFile();
  AudioFile(const AudioFile&) = delete;
  AudioFile& operator=(const AudioFile&) = delete;

  int64_t rate() const;
  int64_t samples() const;  ///< of one channel
  /// The next samples, fewer than `most` only at the end: float32. Throws Error for samples that
  /// are not finite, and when the file ends before its time.
  at::Tensor read(int64_t most);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

Audio load_audio(const fs::path& path);

/// The same sound with `rate` samples per second, by soxr at its high quality.
Audio resampled(const Audio& audio, int64_t rate);

}  // namespace pace
