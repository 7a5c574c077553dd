#include "pace/kernels/rotary.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

/// The definition in scalar loops over doubles.
Tensor turned(const Tensor& x, const std::vector<int64_t>& positions, int64_t width, double base) {
  Tensor result = at::empty_like(x);
  const auto from = x.accessor<float, 2>();
  auto to = result.accessor<float, 2>();
  for (int64_t row = 0; row < x.size(0); ++row) {
    for (int64_t head = 0; head < x.size(1); head += width) {
      for (int64_t i = 0; i < width / 2; ++i) {
        const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(width);
        const double angle = static_cast<double>(positions[row]) / std::pow(base, exponent);
        const double a = from[row][head + i], b = from[row][head + width / 2 + i];
        to[row][head + i] = static_cast<float>(a * std::cos(angle) - b * std::sin(angle));
        to[row][head + width / 2 + i] =
            static_cast<float>(b * std::cos(angle) + a * std::sin(angle));
      }
    }
  }
  return result;
}

class RotaryOnCpu : public ::testing::TestWithParam<Context> {};
INSTANTIATE_TEST_SUITE_P(Kernels, RotaryOnCpu, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(RotaryOnCpu, TurnsHalvesByThePositionInBothForms) {
  const std::vector<int64_t> positions{0, 1, 2, 17, 99, 3, 0};
  const Tensor places = at::tensor(positions, at::kLong);
  for (const int64_t width : {2, 10, 32, 128}) {
    const Rotary rotary(width, 500.0, 100);
    const Tensor wide = at::randn({7, 4 * width}, seeded(1));
    const Tensor x = wide.narrow(1, width, 3 * width);
    const Tensor expected = turned(x.contiguous(), positions, width, 500.0);
    EXPECT_TRUE(
        at::allclose(rotary.forward(x.contiguous(), places, GetParam()), expected, 1e-4, 2e-5));
    const at::NoGradGuard no_grad;
    const Tensor all = rotary.forward(x, places, GetParam());
    EXPECT_TRUE(at::allclose(all, expected, 1e-4, 2e-5)) << width;
    const Tensor one = rotary.forward(x.narrow(0, 3, 1), places.narrow(0, 3, 1), GetParam());
    EXPECT_TRUE(one.equal(all.narrow(0, 3, 1)));
  }
}

}  // namespace
}  // namespace pace::kernels
