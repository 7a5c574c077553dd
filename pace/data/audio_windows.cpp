#include "pace/data/audio_windows.h"

#include <algorithm>

#include "pace/base/error.h"

namespace pace {

AudioWindows::AudioWindows(AudioSource& source, int64_t rate, int64_t length, int64_t hop)
    : source_(source, rate), length_(length), hop_(hop), window_(at::empty({0}, at::kFloat)) {
  if (hop < 1 || hop > length) {
    fail("windows of {} samples, each {} behind the one before; it must be 1..{}", length, hop,
         length);
  }
}

std::optional<AudioWindow> AudioWindows::next() {
  const at::Tensor more = source_.read(end_ == 0 ? length_ : hop_);
  if (more.numel() == 0) return std::nullopt;
  end_ += more.numel();
  window_ = at::cat({window_, more});
  window_ = window_.narrow(0, std::max<int64_t>(0, window_.numel() - length_),
                           std::min(length_, window_.numel()));
  const auto rate = static_cast<double>(source_.rate());
  return AudioWindow{{window_, source_.rate()},
                     static_cast<double>(end_ - window_.numel()) / rate,
                     static_cast<double>(end_) / rate};
}

}  // namespace pace
