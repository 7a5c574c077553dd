// The ragged MLP beside the dense one it stands for, at the MLP sizes of ViT-S and eight pictures
// of 197 tokens. Time is what counts: `of_dense_work` says which share of the dense
// multiply-accumulates was executed, so a ragged row is as fast as it ought to be when its time is
// that share of the dense row's. GFLOP/s counts one multiply-accumulate as two.
#include "pace/kernels/ragged.h"

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

namespace {

using at::Tensor;
namespace kernels = pace::kernels;

constexpr int64_t kRows = 8 * 197, kDim = 384, kHidden = 1536;

kernels::Learners make_learners(int64_t count) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(kDim));
  return {.in_weight = at::randn({kHidden, kDim}) * scale,
          .in_bias = at::randn({kHidden}),
          .out_weight = at::randn({kDim, kHidden}) * scale,
          .offsets = at::randn({count + 1, kDim}),
          .width = kHidden / count};
}

void report(benchmark::State& state, const kernels::MacCounter& counter) {
  const double macs = static_cast<double>(counter.macs);
  const double dense = 2.0 * kRows * kDim * kHidden * static_cast<double>(state.iterations());
  state.counters["of_dense_work"] = macs / dense;
  state.counters["FLOP/s"] = benchmark::Counter(2 * macs, benchmark::Counter::kIsRate);
}

void dense_mlp(benchmark::State& state) {
  const c10::InferenceMode inference;
  const kernels::Learners all = make_learners(1);
  const Tensor x = at::randn({kRows, kDim});
  kernels::MacCounter counter;
  for (auto _ : state) {
    const Tensor hidden = kernels::activate(kernels::linear(x, all.in_weight, all.in_bias, counter),
                                            kernels::Activation::kGelu);
    benchmark::DoNotOptimize(kernels::linear(hidden, all.out_weight, all.offsets[1], counter));
  }
  report(state, counter);
}

/// Every row draws its k from 0..N with equal chances: the mean is N/2 and every group is small.
void ragged_mlp(benchmark::State& state) {
  const c10::InferenceMode inference;
  const int64_t count = state.range(0);
  const kernels::Learners learners = make_learners(count);
  const Tensor x = at::randn({kRows, kDim}), k = at::randint(0, count + 1, {kRows});
  kernels::MacCounter counter;
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels::ragged_mlp(x, k, learners, counter));
  }
  report(state, counter);
}

BENCHMARK(dense_mlp)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(ragged_mlp)
    ->ArgName("learners")
    ->Arg(4)
    ->Arg(16)
    ->Arg(64)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
