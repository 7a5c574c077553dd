// Convolutions of 3 x 3 at the sizes of CIFAR residual networks: 16 channels on 32 x 32 positions,
// 32 on 16 x 16, 64 on 8 x 8, which cost the same. `onednn_conv` is LibTorch's on channels-last
// maps. `some_positions` computes every position of that percentage of squares of 4 x 4, so it is
// as fast as it ought to be when FLOP/s stays that of `conv`. `score` is what tells each position
// when to halt. Beside kernels_bench.cpp, whose
// `limit` is what the cores can do.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include "pace/kernels/conv.h"
#include "pace/kernels/score.h"

namespace {

using at::Tensor;
namespace kernels = pace::kernels;

kernels::Grid grid_of(const benchmark::State& state) {
  const int64_t side = 512 / state.range(0);
  return {state.range(1), side, side};
}

Tensor weight_of(int64_t channels) { return at::randn({channels, channels, 3, 3}) * 0.1; }

kernels::Conv make_conv(int64_t channels) {
  return {
      weight_of(channels),
      1,
      {at::ones({channels}), at::zeros({channels}), at::zeros({channels}), at::ones({channels})}};
}

void report(benchmark::State& state, double macs) {
  state.counters["FLOP/s"] = benchmark::Counter(2 * macs, benchmark::Counter::kIsRate);
}

void conv(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const kernels::Grid grid = grid_of(state);
  const kernels::Conv layer = make_conv(state.range(0));
  const Tensor x = at::randn({grid.rows(), state.range(0)});
  kernels::Context context;
  for (auto _ : state) benchmark::DoNotOptimize(layer.forward(x, grid, {}, context));
  report(state, static_cast<double>(context.macs));
}

void some_positions(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const kernels::Grid grid = grid_of(state);
  const kernels::Conv layer = make_conv(state.range(0));
  const Tensor x = at::randn({grid.rows(), state.range(0)});
  const Tensor squares = at::rand({grid.pictures, grid.lines / 4, grid.columns / 4});
  const Tensor mask = squares.repeat_interleave(4, 1).repeat_interleave(4, 2);
  const Tensor rows = mask.flatten().mul(100).lt(state.range(2)).nonzero().squeeze(1);
  Tensor y = at::zeros_like(x);
  kernels::Context context;
  for (auto _ : state) layer.forward_at(rows, x, grid, {}, y, context);
  report(state, static_cast<double>(context.macs));
}

void score(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const kernels::Grid grid = grid_of(state);
  const int64_t channels = state.range(0);
  const kernels::MapScore unit(at::randn({1, channels}), at::zeros({1}),
                               at::randn({1, channels, 3, 3}));
  const Tensor x = at::randn({grid.rows(), channels});
  const Tensor every = at::arange(grid.rows(), at::kLong);
  kernels::Context context;
  for (auto _ : state) benchmark::DoNotOptimize(unit.forward_at(every, x, grid, context));
  report(state, static_cast<double>(context.macs));
}

void onednn_conv(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const kernels::Grid grid = grid_of(state);
  const int64_t channels = state.range(0);
  const Tensor x = at::randn({grid.pictures, channels, grid.lines, grid.columns})
                       .contiguous(at::MemoryFormat::ChannelsLast);
  const Tensor weight = weight_of(channels).contiguous(at::MemoryFormat::ChannelsLast);
  for (auto _ : state) {
    benchmark::DoNotOptimize(at::conv2d(x, weight, {}, {1, 1}, {1, 1}).relu_());
  }
  report(state, static_cast<double>(state.iterations() * grid.rows() * weight.numel()));
}

}  // namespace

BENCHMARK(conv)->ArgsProduct({{16, 32, 64}, {1, 64}})->UseRealTime();
BENCHMARK(score)->ArgsProduct({{16, 32, 64}, {1, 64}})->UseRealTime();
BENCHMARK(onednn_conv)->ArgsProduct({{16, 32, 64}, {1, 64}})->UseRealTime();
BENCHMARK(some_positions)->ArgsProduct({{16, 32, 64}, {64}, {50}})->UseRealTime();
