// The kernels at the sizes of ViT-B, for eight pictures of 197 tokens and for one. `limit` is what
// the cores can do at all: multiply-adds on registers alone. `onednn_mlp` is the fastest dense MLP
// at hand, with weights packed once and GELU fused. `of_dense_work` says which share of the dense
// multiply-accumulates a ragged row executed, so it is as fast as it ought to be when its time is
// that share of the dense row's. FLOP/s counts a multiply-accumulate as two.
//
// Speeds of this kind of machine change from second to second: run with
//   --benchmark_enable_random_interleaving --benchmark_repetitions=5
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include <atomic>
#include <span>

#include "bench/limit.h"
#include "pace/kernels/attention.h"
#include "pace/kernels/gate.h"
#include "pace/kernels/mlp.h"
#include "pace/kernels/norm.h"
#include "pace/kernels/ragged.h"

namespace {

using at::Tensor;
namespace kernels = pace::kernels;

constexpr int64_t kDim = 768, kHidden = 3072, kTokens = 197, kHeads = 12, kGateHidden = 16;

at::ScalarType type_of(int64_t bits) { return bits == 16 ? at::kBFloat16 : at::kFloat; }

constexpr int64_t kRank = kDim / 2;  ///< of learners that cost as much as a projection

void report(benchmark::State& state, double macs) {
  state.counters["FLOP/s"] = benchmark::Counter(2 * macs, benchmark::Counter::kIsRate);
}

double dense_macs(const benchmark::State& state) {
  return 2.0 * static_cast<double>(state.range(0) * state.iterations()) * kDim * kHidden;
}

void limit(benchmark::State& state) {
  const bool bfloat16 = state.range(0) == 16;
  const bool matrix = kernels::best_isa() == kernels::Isa::kAmx;
  const int64_t threads = at::get_num_threads();
  double macs = 0;
  for (auto _ : state) {
    std::atomic<int64_t> done{0};
    at::parallel_for(0, threads, 1,
                     [&](int64_t, int64_t) { done += multiply_adds(bfloat16, matrix); });
    macs += static_cast<double>(done);
  }
  report(state, macs);
}

kernels::Learners make_learners(int64_t count, int64_t hidden = kHidden) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(kDim));
  return {.in_weight = at::randn({hidden, kDim}) * scale,
          .in_bias = at::randn({hidden}),
          .out_weight = at::randn({kDim, hidden}) * scale,
          .offsets = at::randn({count + 1, kDim}),
          .width = hidden / count,
          .activation = kernels::Activation::kGelu,
          .dense_weight = {},
          .dense_bias = {}};
}

/// A layer on weights that oneDNN packed, which LibTorch registers but does not declare.
class OneDnnLinear {
 public:
  OneDnnLinear(const Tensor& weight, Tensor bias) : bias_(std::move(bias)) {
    using Reorder = Tensor(const Tensor&, std::optional<c10::SymInt>);
    weight_ = c10::Dispatcher::singleton()
                  .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                  .typed<Reorder>()
                  .call(weight, c10::SymInt(8 * kTokens));
  }
  Tensor forward(const Tensor& x, std::string_view activation) const {
    using Product =
        Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view,
               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
    static const auto product = c10::Dispatcher::singleton()
                                    .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                                    .typed<Product>();
    return product.call(x, weight_, bias_, activation, c10::List<std::optional<at::Scalar>>(),
                        "none");
  }

 private:
  Tensor weight_, bias_;
};

void onednn_mlp(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const at::ScalarType type = type_of(state.range(1));
  const kernels::Learners all = make_learners(1);
  const OneDnnLinear first(all.in_weight.to(type), all.in_bias.to(type));
  const OneDnnLinear second(all.out_weight.to(type), all.offsets[1].to(type));
  const Tensor x = at::randn({state.range(0), kDim}).to(type);
  for (auto _ : state) benchmark::DoNotOptimize(second.forward(first.forward(x, "gelu"), "none"));
  report(state, dense_macs(state));
}

void dense_mlp(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const kernels::Learners all = make_learners(1);
  const kernels::Mlp mlp(all.in_weight, all.in_bias, all.out_weight, all.offsets[1],
                         all.activation);
  const Tensor x = at::randn({state.range(0), kDim});
  kernels::Context context{.type = type_of(state.range(1))};
  for (auto _ : state) benchmark::DoNotOptimize(mlp.forward(x, context));
  report(state, static_cast<double>(context.macs));
}

void dense_projection(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const kernels::Linear linear(at::randn({kDim, kDim}), at::randn({kDim}));
  const Tensor x = at::randn({state.range(0), kDim});
  kernels::Context context{.type = type_of(state.range(1))};
  for (auto _ : state) benchmark::DoNotOptimize(linear.forward(x, context));
  report(state, static_cast<double>(context.macs));
}

void onednn_projection(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const at::ScalarType type = type_of(state.range(1));
  const OneDnnLinear linear(at::randn({kDim, kDim}).to(type), at::randn({kDim}).to(type));
  const Tensor x = at::randn({state.range(0), kDim}).to(type);
  for (auto _ : state) benchmark::DoNotOptimize(linear.forward(x, "none"));
  report(state, static_cast<double>(state.range(0) * state.iterations()) * kDim * kDim);
}

struct Gate {
  Tensor in_bias = at::randn({kGateHidden}), out_bias;
  kernels::PackedGate packed;

  Gate(int64_t learners, const kernels::Context& context)
      : out_bias(at::randn({learners + 1})),
        packed(at::randn({kGateHidden, kDim}), at::randn({learners + 1, kGateHidden}), context) {}
  Tensor best(const Tensor& x, kernels::Context& context) const {
    const auto numbers = [](const Tensor& t) {
      return std::span<const float>(t.const_data_ptr<float>(), static_cast<size_t>(t.numel()));
    };
    return kernels::best_choice(x, packed, numbers(in_bias), numbers(out_bias), 0, context);
  }
};

/// The gate runs too, its choice is not used.
void ragged(benchmark::State& state, int64_t hidden, int64_t count, const Tensor& k) {
  const int64_t rows = state.range(0);
  kernels::Context context{.type = type_of(state.range(1))}, gating = context;
  const kernels::PackedLearners learners(make_learners(count, hidden), context);
  const Gate gate(count, context);
  const Tensor x = at::randn({rows, kDim});
  for (auto _ : state) {
    benchmark::DoNotOptimize(gate.best(x, gating));
    benchmark::DoNotOptimize(kernels::ragged_mlp(x, k, learners, context));
  }
  report(state, static_cast<double>(context.macs));
  state.counters["of_dense_work"] =
      static_cast<double>(context.macs) /
      (2.0 * static_cast<double>(rows * state.iterations() * kDim * hidden));
}

/// Every row draws its k from 0..N with equal chances: the mean is N/2 and every group is small.
Tensor any_choice(const benchmark::State& state) {
  return at::randint(0, state.range(2) + 1, {state.range(0)}, at::kLong);
}
void ragged_mlp(benchmark::State& state) {
  ragged(state, kHidden, state.range(2), any_choice(state));
}
void ragged_projection(benchmark::State& state) {
  ragged(state, kRank, state.range(2), any_choice(state));
}

/// Every learner is drawn or not with a given chance in percent, so that the mean of k/N is known.
void ragged_mlp_at_share(benchmark::State& state) {
  constexpr int64_t kLearners = 16;
  const double share = static_cast<double>(state.range(2)) / 100;
  const Tensor drawn = at::rand({state.range(0), kLearners}) < share;
  ragged(state, kHidden, kLearners, drawn.sum(1));
}

void gate(benchmark::State& state) {
  kernels::Context context{.type = type_of(state.range(1))};
  const Gate gate(16, context);
  const Tensor x = at::randn({state.range(0), kDim});
  for (auto _ : state) benchmark::DoNotOptimize(gate.best(x, context));
  report(state, static_cast<double>(context.macs));
}

void attention(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  kernels::Context context{.type = type_of(state.range(1))};
  const auto sequences = kernels::Sequences::equal(state.range(0) / kTokens, kTokens);
  const Tensor x = at::randn({sequences.rows(), kDim});
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels::attention(x, x, x, {kHeads, kHeads}, sequences, context));
  }
  report(state, static_cast<double>(context.macs));
}

void norm_of_sum(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  kernels::Context context;
  const kernels::Norm norm(at::ones({kDim}), at::zeros({kDim}), 1e-6);
  const Tensor x = at::randn({state.range(0), kDim}), update = at::randn_like(x);
  for (auto _ : state) benchmark::DoNotOptimize(norm.add(x, update, {}, context));
  state.SetBytesProcessed(state.iterations() * 4 * x.numel() * 4);
}

void sizes(benchmark::internal::Benchmark* bench, const std::vector<int64_t>& counts) {
  bench->Unit(benchmark::kMillisecond)->UseRealTime();
  for (const int64_t rows : {8 * kTokens, kTokens}) {
    for (const int64_t bits : {32, 16}) {
      if (counts.empty()) bench->Args({rows, bits});
      for (const int64_t count : counts) bench->Args({rows, bits, count});
    }
  }
}
void all_sizes(benchmark::internal::Benchmark* bench) {
  sizes(bench->ArgNames({"rows", "bits"}), {});
}

BENCHMARK(limit)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();
BENCHMARK(onednn_mlp)->Apply(all_sizes);
BENCHMARK(dense_mlp)->Apply(all_sizes);
BENCHMARK(onednn_projection)->Apply(all_sizes);
BENCHMARK(dense_projection)->Apply(all_sizes);
BENCHMARK(ragged_mlp)->ArgNames({"rows", "bits", "learners"})->Apply([](auto* b) {
  sizes(b, {4, 16, 64});
});
BENCHMARK(ragged_projection)->ArgNames({"rows", "bits", "learners"})->Apply([](auto* b) {
  sizes(b, {16});
});
BENCHMARK(ragged_mlp_at_share)->ArgNames({"rows", "bits", "percent"})->Apply([](auto* b) {
  b->Unit(benchmark::kMillisecond)->UseRealTime();
  b->ArgsProduct({{8 * kTokens, kTokens}, {32, 16}, benchmark::CreateDenseRange(0, 100, 10)});
});
BENCHMARK(gate)->Apply(all_sizes);
BENCHMARK(attention)->Apply(all_sizes);
BENCHMARK(norm_of_sum)
    ->Unit(benchmark::kMillisecond)
    ->Arg(8 * kTokens)
    ->Arg(kTokens)
    ->UseRealTime();

}  // namespace
