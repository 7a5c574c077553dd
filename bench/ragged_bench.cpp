// The ragged MLP beside the dense one it stands for, at the MLP sizes of ViT-B: eight pictures of
// 197 tokens and one. The dense one is the fastest at hand: oneDNN with weights packed once and
// GELU fused. `of_dense_work` says which share of the dense multiply-accumulates was executed, so a
// ragged row is as fast as it ought to be when its time is that share of the dense row's. FLOP/s
// counts one multiply-accumulate as two.
#include "pace/kernels/linear.h"
#include "pace/kernels/ragged.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

namespace {

using at::Tensor;
namespace kernels = pace::kernels;

constexpr int64_t kDim = 768, kHidden = 3072;

at::ScalarType type_of(int64_t bits) { return bits == 16 ? at::kBFloat16 : at::kFloat; }

kernels::Learners make_learners(int64_t count) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(kDim));
  return {.in_weight = at::randn({kHidden, kDim}) * scale,
          .in_bias = at::randn({kHidden}),
          .out_weight = at::randn({kDim, kHidden}) * scale,
          .offsets = at::randn({count + 1, kDim}),
          .width = kHidden / count,
          .activation = kernels::Activation::kGelu,
          .dense_weight = {},
          .dense_bias = {}};
}

void report(benchmark::State& state, double macs) {
  const double runs = static_cast<double>(state.iterations());
  const double dense = 2.0 * static_cast<double>(state.range(0)) * kDim * kHidden * runs;
  state.counters["of_dense_work"] = macs / dense;
  state.counters["FLOP/s"] = benchmark::Counter(2 * macs, benchmark::Counter::kIsRate);
}

void dense_mlp(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const int64_t rows = state.range(0);
  const at::ScalarType type = type_of(state.range(1));
  const kernels::Learners all = make_learners(1);
  const kernels::Linear first(all.in_weight, all.in_bias);
  const kernels::Linear second(all.out_weight, all.offsets[1]);
  const Tensor x = at::randn({rows, kDim});
  kernels::Context context{.type = type};
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        second.forward(first.forward(x, context, kernels::Activation::kGelu), context));
  }
  report(state, static_cast<double>(context.macs));
}

/// Every row draws its k from 0..N with equal chances: the mean is N/2 and every group is small.
void ragged_mlp(benchmark::State& state) {
  const int64_t rows = state.range(0), count = state.range(2);
  const Tensor x = at::randn({rows, kDim}), k = at::randint(0, count + 1, {rows}, at::kLong);
  kernels::Context context{.type = type_of(state.range(1))};
  const kernels::PackedLearners learners(make_learners(count), context);
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels::ragged_mlp(x, k, learners, context));
  }
  report(state, static_cast<double>(context.macs));
}

void sizes(benchmark::internal::Benchmark* bench, const std::vector<int64_t>& counts) {
  bench->Unit(benchmark::kMillisecond)->UseRealTime();
  for (const int64_t rows : {8 * 197, 197}) {
    for (const int64_t bits : {32, 16}) {
      if (counts.empty()) bench->Args({rows, bits});
      for (const int64_t count : counts) bench->Args({rows, bits, count});
    }
  }
}

BENCHMARK(dense_mlp)->ArgNames({"rows", "bits"})->Apply([](auto* b) { sizes(b, {}); });
BENCHMARK(ragged_mlp)->ArgNames({"rows", "bits", "learners"})->Apply([](auto* b) {
  sizes(b, {4, 16, 64});
});

}  // namespace
