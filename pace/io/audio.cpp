#include "pace/io/audio.h"

#include <sndfile.h>
#include <soxr.h>

#include <algorithm>
#include <array>
#include <string>

#include "pace/base/error.h"

namespace pace {

struct AudioFile::Handle {
  std::string path;
  SF_INFO info{};
  SNDFILE* file = nullptr;
  int64_t read = 0;

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (file) sf_close(file);
  }
};

namespace {

/// A WAV file that was cut off keeps the length in its header; libsndfile reads what is there and
/// says so in its log only.
bool is_cut_off(SNDFILE* file) {
  std::array<char, 4096> log{};
  sf_command(file, SFC_GET_LOG_INFO, log.data(), static_cast<int>(log.size()));
  return std::string(log.data()).find("data : ") != std::string::npos &&
         std::string(log.data()).find("(should be") != std::string::npos;
}

}  // namespace

AudioFile::AudioFile(const fs::path& path) : handle_(std::make_unique<Handle>()) {
  handle_->path = path.string();
  handle_->file = sf_open(path.c_str(), SFM_READ, &handle_->info);
  if (!handle_->file) {
    std::string reason = sf_strerror(nullptr);
    if (!fs::exists(path)) reason = "there is no such file";
    fail("cannot read {} as sound: {}; WAV and FLAC are understood", path.string(), reason);
  }
  if (handle_->info.frames < 1) fail("{} holds no samples", path.string());
  if (is_cut_off(handle_->file)) {
    fail("{} is cut off: its header promises more than the file holds", path.string());
  }
}

AudioFile::~AudioFile() = default;

int64_t AudioFile::rate() const { return handle_->info.samplerate; }
int64_t AudioFile::samples() const { return handle_->info.frames; }

at::Tensor AudioFile::read(int64_t most) {
  const int64_t wanted = std::min(most, samples() - handle_->read);
  const at::Tensor frames = at::empty({wanted, handle_->info.channels}, at::kFloat);
  const int64_t got =
      sf_readf_float(handle_->file, frames.mutable_data_ptr<float>(), std::max<int64_t>(wanted, 0));
  if (got < wanted) {
    fail("{} is damaged: sample {} of {} cannot be read", handle_->path, handle_->read + got + 1,
         samples());
  }
  handle_->read += got;
  const at::Tensor mono = frames.mean(1);
  if (!mono.isfinite().all().item<bool>()) {
    fail("{} has samples that are no numbers or infinite", handle_->path);
  }
  return mono;
}

Audio load_audio(const fs::path& path) {
  AudioFile file(path);
  return {file.read(file.samples()), file.rate()};
}

Audio resampled(const Audio& audio, int64_t rate) {
  if (audio.rate == rate) return audio;
  const auto from = static_cast<double>(audio.rate), to = static_cast<double>(rate);
  const at::Tensor in = audio.samples.contiguous();
  const auto most = static_cast<int64_t>(static_cast<double>(in.numel()) * to / from + 0.5);
  const at::Tensor out = at::zeros({most}, at::kFloat);
  size_t done = 0;
  const soxr_error_t error = soxr_oneshot(
      from, to, 1, in.const_data_ptr<float>(), static_cast<size_t>(in.numel()), nullptr,
      out.mutable_data_ptr<float>(), static_cast<size_t>(most), &done, nullptr, nullptr, nullptr);
  if (error) fail("cannot resample from {} to {} samples per second: {}", from, to, error);
  return {out.narrow(0, 0, static_cast<int64_t>(done)), rate};
}

}  // namespace pace
