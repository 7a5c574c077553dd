#pragma once

#include <gtest/gtest.h>
#include <sndfile.h>

#include <vector>

#include "pace/base/files.h"

namespace pace {

inline constexpr int kWav = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
inline constexpr int kFlac = SF_FORMAT_FLAC | SF_FORMAT_PCM_16;

/// Interleaved samples into a file of a kind (SF_FORMAT_...).
inline void write_sound(const fs::path& path, int kind, const std::vector<float>& samples,
                        int channels = 1, int rate = 16000) {
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = channels;
  info.format = kind;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  ASSERT_NE(file, nullptr) << sf_strerror(nullptr);
  sf_write_float(file, samples.data(), std::ssize(samples));
  sf_close(file);
}

}  // namespace pace
