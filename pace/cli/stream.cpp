#include "pace/cli/stream.h"

#include <cmath>
#include <iostream>

#include "pace/base/error.h"
#include "pace/cli/setup.h"

namespace pace::cli {
namespace {

constexpr double kMostSeconds = 3600.0, kMostRate = 1e6;

}  // namespace

void StreamOptions::declare(CLI::App& app) {
  app.add_option("--hop", hop_,
                 "sounds: seconds from the beginning of one window to the next (0: half a window)")
      ->check(from_to(0, kMostSeconds));
  app.add_option("--window", window_,
                 "sounds, for models that hear any length: seconds of a window (0: whole files, 10 "
                 "of standard input)")
      ->check(from_to(0, kMostSeconds));
  app.add_option("--rate", rate_, "samples per second of standard input (0: as the model wants)")
      ->check(from_to(0, kMostRate));
}

void StreamOptions::refuse() const {
  if (hop_ > 0.0 || window_ > 0.0 || rate_ > 0) {
    throw UsageError("--hop, --window and --rate are for models that hear");
  }
}

std::unique_ptr<AudioSource> StreamOptions::open(const std::string& input, int64_t rate) const {
  if (input != "-") return std::make_unique<AudioFile>(input);
  return std::make_unique<PcmStream>(std::cin, "standard input", rate_ > 0 ? rate_ : rate);
}

int64_t StreamOptions::window(int64_t rate, int64_t own) const {
  if (own == 0) {
    const double seconds = window_ > 0.0 ? window_ : static_cast<double>(kHeardSeconds);
    return std::max<int64_t>(1, std::llround(seconds * static_cast<double>(rate)));
  }
  if (window_ > 0.0) {
    throw UsageError(fmt::format("--window {} s: the model always hears {:.3g} s at a time",
                                 window_, static_cast<double>(own) / static_cast<double>(rate)));
  }
  return own;
}

int64_t StreamOptions::hop(int64_t rate, int64_t length) const {
  if (hop_ == 0.0) return std::max<int64_t>(1, length / 2);
  const auto samples = static_cast<int64_t>(std::llround(hop_ * static_cast<double>(rate)));
  if (samples < 1 || samples > length) {
    throw UsageError(
        fmt::format("--hop {} s: the model hears {:.3g} s at a time, and windows must "
                    "not be further apart, nor lie on each other",
                    hop_, static_cast<double>(length) / static_cast<double>(rate)));
  }
  return samples;
}

}  // namespace pace::cli
