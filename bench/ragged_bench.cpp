// The ragged MLP beside the dense one it stands for, at the MLP sizes of ViT-B: eight pictures of
// 197 tokens and one. The dense one is the fastest at hand: oneDNN with weights packed once and
// GELU fused. `of_dense_work` says which share of the dense multiply-accumulates was executed, so a
// ragged row is as fast as it ought to be when its time is that share of the dense row's. FLOP/s
// counts one multiply-accumulate as two.
#include "pace/kernels/ragged.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
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
          .width = kHidden / count};
}

void report(benchmark::State& state, double macs) {
  const double runs = static_cast<double>(state.iterations());
  const double dense = 2.0 * static_cast<double>(state.range(0)) * kDim * kHidden * runs;
  state.counters["of_dense_work"] = macs / dense;
  state.counters["FLOP/s"] = benchmark::Counter(2 * macs, benchmark::Counter::kIsRate);
}

/// A linear map with its weights in the layout that oneDNN likes for this number of rows.
class PackedLinear {
 public:
  PackedLinear(const Tensor& weight, const Tensor& bias, int64_t rows, bool gelu)
      : bias_(bias), gelu_(gelu) {
    const auto pack = c10::Dispatcher::singleton()
                          .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                          .typed<Tensor(const Tensor&, std::optional<int64_t>)>();
    weight_ = pack.call(weight, rows);
  }
  Tensor operator()(const Tensor& x) const {
    using Scalars = c10::List<std::optional<at::Scalar>>;
    static const auto run =
        c10::Dispatcher::singleton()
            .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
            .typed<Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&,
                          std::string_view, Scalars, std::optional<std::string_view>)>();
    return run.call(x, weight_, bias_, gelu_ ? "gelu" : "none", Scalars(),
                    gelu_ ? std::optional<std::string_view>("none") : std::nullopt);
  }

 private:
  Tensor weight_, bias_;
  bool gelu_;
};

void dense_mlp(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const int64_t rows = state.range(0);
  const at::ScalarType type = type_of(state.range(1));
  const kernels::Learners all = make_learners(1);
  const PackedLinear first(all.in_weight.to(type), all.in_bias.to(type), rows, true);
  const PackedLinear second(all.out_weight.to(type), all.offsets[1].to(type), rows, false);
  const Tensor x = at::randn({rows, kDim}).to(type);
  for (auto _ : state) benchmark::DoNotOptimize(second(first(x)));
  report(state, 2.0 * static_cast<double>(rows * state.iterations()) * kDim * kHidden);
}

/// Every row draws its k from 0..N with equal chances: the mean is N/2 and every group is small.
void ragged_mlp(benchmark::State& state) {
  const int64_t rows = state.range(0), count = state.range(2);
  const kernels::PackedLearners learners(make_learners(count), type_of(state.range(1)));
  const Tensor x = at::randn({rows, kDim}), k = at::randint(0, count + 1, {rows}, at::kLong);
  kernels::MacCounter counter;
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels::ragged_mlp(x, k, learners, counter));
  }
  report(state, static_cast<double>(counter.macs));
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
