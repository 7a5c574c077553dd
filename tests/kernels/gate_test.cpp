#include "pace/kernels/gate.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

std::span<const float> numbers(const Tensor& values) {
  return {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())};
}

struct RandomGate {
  Tensor in_weight, in_bias, out_weight, out_bias;

  RandomGate(int64_t in, int64_t hidden, int64_t choices)
      : in_weight(at::randn({hidden, in}, seeded(1))),
        in_bias(at::randn({hidden}, seeded(2))),
        out_weight(at::randn({choices, hidden}, seeded(3))),
        out_bias(at::randn({choices}, seeded(4))) {}

  Tensor best(const Tensor& x, Context& context, int64_t first = 0) const {
    const PackedGate packed(in_weight, out_weight, context);
    return best_choice(x, packed, numbers(in_bias), numbers(out_bias), first, context);
  }
  /// How far the score of each choice is from the best, in doubles.
  Tensor lead_lost(const Tensor& x, const Tensor& choice) const {
    const auto twice = [](const Tensor& t) { return t.to(at::kDouble); };
    const Tensor hidden = at::gelu(at::linear(twice(x), twice(in_weight), twice(in_bias)));
    const Tensor scores = at::linear(hidden, twice(out_weight), twice(out_bias));
    return scores.amax(1) - scores.gather(1, choice.unsqueeze(1)).squeeze(1);
  }
};

class GateOnCpu : public ::testing::TestWithParam<Context> {};

INSTANTIATE_TEST_SUITE_P(Kernels, GateOnCpu, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(GateOnCpu, TakesTheBestOverOddSizes) {
  for (const auto& [rows, in, hidden, choices] :
       std::vector<std::array<int64_t, 4>>{{1, 1, 1, 1},
                                           {2, 5, 3, 4},
                                           {13, 33, 17, 40},
                                           {25, 200, 16, 9},
                                           {40, 770, 200, 65},
                                           {16, 256, 16, 16},
                                           {17, 257, 2, 5},
                                           {32, 31, 8, 5},
                                           {33, 32, 8, 5}}) {
    const RandomGate gate(in, hidden, choices);
    const Tensor x = at::randn({rows, in}, seeded(5));
    Context context = GetParam();
    const Tensor best = gate.best(x, context);
    const double rounding = context.type == at::kFloat ? 1e-4 : 0.2;
    EXPECT_LT(gate.lead_lost(x, best).max().item<double>(), rounding * std::sqrt(hidden * in))
        << rows << " x " << in << " -> " << hidden << " -> " << choices;
    EXPECT_EQ(context.macs, rows * hidden * (in + choices));
    EXPECT_TRUE(gate.best(x, context, 3).equal(best + 3));
  }
}

TEST_P(GateOnCpu, TakesTheFirstOfEquals) {
  RandomGate gate(4, 3, 5);
  gate.out_weight.zero_();
  gate.out_bias = at::tensor({0.0F, 2.0F, 1.0F, 2.0F, 2.0F});
  Context context = GetParam();
  EXPECT_TRUE(gate.best(at::randn({7, 4}), context).equal(at::ones({7}, at::kLong)));
}

TEST_P(GateOnCpu, OfARowDoesNotDependOnTheOthersNorOnThreads) {
  const RandomGate gate(33, 16, 9);
  const Tensor x = at::randn({100, 33}, seeded(5));
  Context context = GetParam();
  const Tensor whole = gate.best(x, context);
  EXPECT_GT(std::get<0>(at::_unique(whole)).numel(), 2);
  const int before = at::get_num_threads();
  for (const int threads : {1, 3, 16}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(gate.best(x, context).equal(whole));
    EXPECT_TRUE(gate.best(x.narrow(0, 41, 1), context).equal(whole.narrow(0, 41, 1)));
  }
  at::set_num_threads(before);
  EXPECT_EQ(gate.best(at::empty({0, 33}), context).numel(), 0);
}

}  // namespace
}  // namespace pace::kernels
