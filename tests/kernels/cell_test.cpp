#include "pace/kernels/cell.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

double logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }

/// One row of states after its gates, by the definition of torch.nn.LSTM.
Tensor by_hand(const Tensor& gates, const Tensor& state) {
  const int64_t hidden = state.numel() / 2;
  Tensor out = at::empty({2 * hidden}, at::kDouble);
  const auto gate = [&](int64_t number, int64_t i) {
    return gates[number * hidden + i].item<double>();
  };
  for (int64_t i = 0; i < hidden; ++i) {
    const double cell = logistic(gate(1, i)) * state[hidden + i].item<double>() +
                        logistic(gate(0, i)) * std::tanh(gate(2, i));
    out[i] = logistic(gate(3, i)) * std::tanh(cell);
    out[hidden + i] = cell;
  }
  return out;
}

class CellOnCpu : public ::testing::TestWithParam<Context> {};

INSTANTIATE_TEST_SUITE_P(Kernels, CellOnCpu, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(CellOnCpu, EqualsTheDefinitionOverOddSizesAndChosenRows) {
  const at::NoGradGuard no_grad;
  for (const int64_t hidden : {1, 3, 8, 17, 64, 100}) {
    // Gates far beyond where the functions are flat, too.
    const Tensor input = at::randn({9, 4 * hidden}, seeded(1)) * 40;
    const Tensor recurrent = at::randn({4, 4 * hidden}, seeded(2));
    const Tensor extra = at::randn({4 * hidden}, seeded(3));
    const Tensor before = at::randn({6, 5 + 2 * hidden}, seeded(4));
    const Tensor rows = at::tensor({0, 2, 3, 5}, at::kLong);
    const Tensor taken = at::tensor({8, 1, 0, 4}, at::kLong);
    Tensor states = before.clone();
    renew_cell({input, taken, recurrent, extra}, states, 5, rows, GetParam());
    Tensor expected = before.to(at::kDouble);
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t row = rows[i].item<int64_t>();
      const Tensor gates = input[taken[i].item<int64_t>()].to(at::kDouble) + recurrent[i] + extra;
      expected[row].slice(0, 5).copy_(by_hand(gates, before[row].slice(0, 5)));
    }
    EXPECT_LT((states - expected).abs().max().item<double>(), 2e-6) << hidden;

    Tensor all = before.narrow(0, 0, 4).clone();
    renew_cell({input.narrow(0, 0, 4), {}, recurrent, {}}, all, 5, {}, GetParam());
    const Tensor differentiable =
        next_cell({input.narrow(0, 0, 4), {}, recurrent, {}}, before.narrow(0, 0, 4).slice(1, 5));
    EXPECT_LT((all.slice(1, 5) - differentiable).abs().max().item<double>(), 2e-6) << hidden;
  }
}

}  // namespace
}  // namespace pace::kernels
