#pragma once

#include <ATen/ATen.h>

#include <istream>
#include <memory>
#include <string>

#include "pace/base/files.h"

namespace pace {

/// Sound of one channel.
struct Audio {
  at::Tensor samples;  ///< float32 [samples], full scale is -1 to 1
  int64_t rate = 0;    ///< samples per second
};

/// Sound of one channel, read from the beginning on.
class AudioSource {
 public:
  virtual ~AudioSource() = default;
  virtual int64_t rate() const = 0;
  /// The next samples, float32, fewer than `most` only at the end and none behind it. Throws Error
  /// for what cannot be read, and for samples that are not finite.
  virtual at::Tensor read(int64_t most) = 0;
};

/// A WAV or FLAC file (told apart by content; other formats of libsndfile are read too). Integer
/// samples are divided by their full scale, 2^15 for 16 bits; several channels are mixed to their
/// mean.
class AudioFile : public AudioSource {
 public:
  /// Throws Error naming the file when it is missing, of another kind, damaged, or without samples.
  explicit AudioFile(const fs::path& path);
  ~AudioFile() override;
  AudioFile(const AudioFile&) = delete;
  AudioFile& operator=(const AudioFile&) = delete;

  int64_t rate() const override;
  at::Tensor read(int64_t most) override;

 private:
  struct Handle;
  void check_end() const;
  std::unique_ptr<Handle> handle_;
};

/// Raw samples of 16 bits, little-endian, of one channel, as they come.
class PcmStream : public AudioSource {
 public:
  PcmStream(std::istream& stream, std::string name, int64_t rate)
      : stream_(stream), name_(std::move(name)), rate_(rate) {}

  int64_t rate() const override { return rate_; }
  /// Waits until so many samples have come, or the stream has ended.
  at::Tensor read(int64_t most) override;

 private:
  std::istream& stream_;
  std::string name_;  ///< in errors
  int64_t rate_;
};

/// Another source with `rate` samples per second, by soxr at its high quality.
class ResampledSource : public AudioSource {
 public:
  /// `source` must outlive it. Throws Error for rates that soxr cannot do.
  ResampledSource(AudioSource& source, int64_t rate);
  ~ResampledSource() override;

  int64_t rate() const override { return rate_; }
  at::Tensor read(int64_t most) override;

 private:
  struct Soxr;
  /// What follows from more samples, and at the end everything that is left.
  at::Tensor convert(const at::Tensor& samples);

  AudioSource& source_;
  int64_t rate_;
  std::unique_ptr<Soxr> soxr_;  ///< null when the rates are the same
  at::Tensor ready_;
  bool ended_ = false;
};

Audio load_audio(const fs::path& path);

/// The same sound with `rate` samples per second, as a ResampledSource gives them.
Audio resampled(const Audio& audio, int64_t rate);

}  // namespace pace
