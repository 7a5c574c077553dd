#include "pace/io/audio.h"

#include <sndfile.h>
#include <soxr.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

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
  std::istringstream lines(log.data());
  for (std::string line; std::getline(lines, line);) {
    const bool wrong = line.starts_with("data : ") && line.find("(should be") != std::string::npos;
    // Whoever writes to a pipe does not know the length, and says so by the greatest number.
    if (wrong && !line.starts_with("data : 4294967295")) return true;
  }
  return false;
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
at::Tensor AudioFile::read(int64_t most) {
  // What a header promises need not be there, so no memory is taken for it.
  constexpr int64_t kChunk = int64_t{1} << 16;
  std::vector<at::Tensor> parts{at::empty({0}, at::kFloat)};
  for (int64_t missing = most; missing > 0;) {
    const int64_t wanted = std::min(missing, kChunk);
    const at::Tensor frames = at::empty({wanted, handle_->info.channels}, at::kFloat);
    const int64_t got = sf_readf_float(handle_->file, frames.mutable_data_ptr<float>(), wanted);
    handle_->read += got;
    parts.push_back(frames.narrow(0, 0, got).mean(1));
    missing = got < wanted ? 0 : missing - got;
    if (got < wanted) check_end();
  }
  const at::Tensor mono = at::cat(parts);
  if (!mono.isfinite().all().item<bool>()) {
    fail("{} has samples that are no numbers or infinite", handle_->path);
  }
  return mono;
}

/// Throws Error when the header promises more, unless it says that it does not know.
void AudioFile::check_end() const {
  const int64_t promised = handle_->info.frames;
  if (promised == SF_COUNT_MAX || handle_->read >= promised) return;
  fail("{} is damaged: sample {} of {} cannot be read", handle_->path, handle_->read + 1, promised);
}

Audio load_audio(const fs::path& path) {
  AudioFile file(path);
  Audio audio{file.read(std::numeric_limits<int64_t>::max()), file.rate()};
  if (audio.samples.numel() == 0) fail("{} holds no samples", path.string());
  return audio;
}

at::Tensor PcmStream::read(int64_t most) {
  const at::Tensor samples = at::empty({most}, at::kShort);
  stream_.read(reinterpret_cast<char*>(samples.mutable_data_ptr<int16_t>()), 2 * most);
  const auto bytes = static_cast<int64_t>(stream_.gcount());
  if (bytes % 2) fail("{} ends in the middle of a sample of 16 bits", name_);
  return samples.narrow(0, 0, bytes / 2).to(at::kFloat) / 32768.0;
}

struct ResampledSource::Soxr {
  soxr_t handle = nullptr;

  explicit Soxr(soxr_t made) : handle(made) {}
  Soxr(const Soxr&) = delete;
  Soxr& operator=(const Soxr&) = delete;
  ~Soxr() { soxr_delete(handle); }

  /// What follows from more samples; from none (null), what was kept back until the end.
  at::Tensor process(const float* samples, size_t count) {
    constexpr size_t kChunk = 8192;
    std::vector<at::Tensor> parts;
    for (size_t done = kChunk; count > 0 || done == kChunk;) {
      const at::Tensor out = at::empty({kChunk}, at::kFloat);
      size_t taken = 0;
      const soxr_error_t error = soxr_process(handle, samples, count, &taken,
                                              out.mutable_data_ptr<float>(), kChunk, &done);
      if (error) fail("cannot resample: {}", error);
      if (samples) samples += taken;
      count -= taken;
      parts.push_back(out.narrow(0, 0, static_cast<int64_t>(done)));
    }
    return at::cat(parts);
  }
};

ResampledSource::ResampledSource(AudioSource& source, int64_t rate)
    : source_(source), rate_(rate), ready_(at::empty({0}, at::kFloat)) {
  if (source.rate() == rate) return;
  soxr_error_t error = nullptr;
  const soxr_t made = soxr_create(static_cast<double>(source.rate()), static_cast<double>(rate), 1,
                                  &error, nullptr, nullptr, nullptr);
  if (error) {
    fail("cannot resample from {} to {} samples per second: {}", source.rate(), rate, error);
  }
  soxr_ = std::make_unique<Soxr>(made);
}

ResampledSource::~ResampledSource() = default;

at::Tensor ResampledSource::convert(const at::Tensor& samples) {
  if (!soxr_) return samples;
  const at::Tensor in = samples.contiguous();
  const at::Tensor out =
      soxr_->process(in.const_data_ptr<float>(), static_cast<size_t>(in.numel()));
  return ended_ ? at::cat({out, soxr_->process(nullptr, 0)}) : out;
}

at::Tensor ResampledSource::read(int64_t most) {
  while (ready_.numel() < most && !ended_) {
    const double wanted = static_cast<double>(most - ready_.numel()) *
                          static_cast<double>(source_.rate()) / static_cast<double>(rate_);
    const auto chunk = static_cast<int64_t>(std::ceil(wanted));
    const at::Tensor more = source_.read(chunk);
    ended_ = more.numel() < chunk;
    ready_ = at::cat({ready_, convert(more)});
  }
  const int64_t taken = std::min(most, ready_.numel());
  const at::Tensor samples = ready_.narrow(0, 0, taken);
  ready_ = ready_.narrow(0, taken, ready_.numel() - taken);
  return samples;
}

namespace {

class SamplesInMemory : public AudioSource {
 public:
  explicit SamplesInMemory(Audio audio) : audio_(std::move(audio)) {}

  int64_t rate() const override { return audio_.rate; }
  at::Tensor read(int64_t most) override {
    const int64_t taken = std::min(most, audio_.samples.numel() - read_);
    read_ += taken;
    return audio_.samples.narrow(0, read_ - taken, taken);
  }

 private:
  Audio audio_;
  int64_t read_ = 0;
};

}  // namespace

Audio resampled(const Audio& audio, int64_t rate) {
  if (audio.rate == rate) return audio;
  SamplesInMemory source(audio);
  // One sample more than there are, so that the end is seen.
  const auto most =
      static_cast<int64_t>(std::ceil(static_cast<double>(audio.samples.numel() + 1) *
                                     static_cast<double>(rate) / static_cast<double>(audio.rate)));
  return {ResampledSource(source, rate).read(most), rate};
}

}  // namespace pace
