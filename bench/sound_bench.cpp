#include <benchmark/benchmark.h>

#include <ATen/Parallel.h>

#include "pace/data/audio_processor.h"

namespace pace {
namespace {

/// What stands before a keyword transformer: the features of one second at 16 kHz, on one thread.
void features(benchmark::State& state, const char* type) {
  at::set_num_threads(1);
  const AudioProcessor processor(json{{"feature_type", type},
                                      {"sampling_rate", 16000},
                                      {"num_samples", 16000},
                                      {"frame_length", 480},
                                      {"frame_step", 160},
                                      {"fft_size", 512},
                                      {"num_mel_bins", 80},
                                      {"mel_lower_hz", 20.0},
                                      {"mel_upper_hz", 7600.0},
                                      {"num_mfcc", 40}});
  const at::Tensor second = at::randn({16000});
  for (auto _ : state) benchmark::DoNotOptimize(processor(second));
}
BENCHMARK_CAPTURE(features, mfcc, "mfcc")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(features, log_mel, "log_mel")->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace pace
