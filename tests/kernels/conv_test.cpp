#include "pace/kernels/conv.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

struct Case {
  Grid grid;
  int64_t in, out, side, stride;
};
constexpr std::array<Case, 9> kCases{{{{1, 1, 1}, 1, 1, 3, 1},
                                      {{2, 3, 5}, 3, 16, 3, 1},
                                      {{1, 8, 7}, 16, 33, 3, 2},
                                      {{3, 9, 9}, 16, 16, 3, 1},
                                      {{2, 8, 8}, 64, 64, 3, 1},
                                      {{1, 7, 1}, 5, 12, 7, 2},
                                      {{2, 13, 11}, 3, 20, 7, 2},
                                      {{2, 6, 5}, 31, 40, 1, 1},
                                      {{2, 6, 5}, 30, 70, 1, 2}}};

struct Layer {
  Tensor weight;
  BatchNorm norm;
  int64_t stride;

  explicit Layer(const Case& shape) : stride(shape.stride) {
    weight = at::randn({shape.out, shape.in, shape.side, shape.side}, seeded(1));
    norm.weight = at::randn({shape.out}, seeded(2));
    norm.bias = at::randn({shape.out}, seeded(3));
    norm.mean = at::randn({shape.out}, seeded(4));
    norm.variance = at::rand({shape.out}, seeded(5)) + 0.5;
  }
  Conv make() const { return {weight, stride, norm}; }

  /// By the definition, in double.
  Tensor expected(const Tensor& x, const Grid& grid, const ConvEnd& end) const {
    const auto wide = [](const Tensor& tensor) { return tensor.to(at::kDouble); };
    const Tensor maps = wide(x).view({grid.pictures, grid.lines, grid.columns, x.size(1)});
    const int64_t padding = weight.size(2) / 2;
    Tensor y = at::conv2d(maps.permute({0, 3, 1, 2}), wide(weight), {}, {stride, stride},
                          {padding, padding})
                   .permute({0, 2, 3, 1})
                   .reshape({-1, weight.size(0)});
    y = (y - wide(norm.mean)) / (wide(norm.variance) + norm.epsilon).sqrt() * wide(norm.weight) +
        wide(norm.bias);
    if (end.residual.defined()) y = y + end.residual;
    return end.relu ? y.relu() : y;
  }
};

Tensor input(const Case& shape) { return at::randn({shape.grid.rows(), shape.in}, seeded(6)); }

ConvEnd with_residual(const Case& shape) {
  const int64_t rows = shape.grid.strided(shape.stride).rows();
  return {.residual = at::randn({rows, shape.out}, seeded(7))};
}

/// Every third row and the last, rising.
Tensor some_rows(int64_t rows) {
  const Tensor third = at::arange(0, rows - 1, 3, at::kLong);
  return at::cat({third, at::full({1}, rows - 1, at::kLong)});
}

class PackedConv : public ::testing::TestWithParam<Context> {};
INSTANTIATE_TEST_SUITE_P(Kernels, PackedConv, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(PackedConv, EqualsTheDefinition) {
  const at::NoGradGuard no_grad;
  for (const Case& shape : kCases) {
    const Layer layer(shape);
    const Conv conv = layer.make();
    const Tensor x = input(shape);
    for (const ConvEnd& end : {ConvEnd{}, ConvEnd{.relu = false}, with_residual(shape)}) {
      Context context = GetParam();
      const Tensor y = conv.forward(x, shape.grid, end, context);
      const auto depth = static_cast<double>(layer.weight[0].numel());
      const double unit = context.type == at::kFloat ? 2e-5 : 0.06;
      EXPECT_LT((y - layer.expected(x, shape.grid, end)).abs().max().item<double>(),
                unit * std::sqrt(depth))
          << shape.in << " -> " << shape.out << ", side " << shape.side;
      EXPECT_EQ(context.macs, y.size(0) * conv.macs());
    }
  }
}

TEST_P(PackedConv, SomeRowsAreTheSameBitsOnAnyNumberOfThreads) {
  const at::NoGradGuard no_grad;
  const int before = at::get_num_threads();
  for (const Case& shape : kCases) {
    const Conv conv = Layer(shape).make();
    const Tensor x = input(shape);
    const ConvEnd end = with_residual(shape);
    Context context = GetParam();
    const Tensor whole = conv.forward(x, shape.grid, end, context);
    const Tensor rows = some_rows(whole.size(0));
    for (const int threads : {1, 2, 5}) {
      at::set_num_threads(threads);
      Tensor y = at::full_like(whole, -1.0);
      Context own = GetParam();
      conv.forward_at(rows, x, shape.grid, end, y, own);
      EXPECT_TRUE(y.index_select(0, rows).equal(whole.index_select(0, rows)));
      EXPECT_EQ(y.eq(-1.0).all(1).sum().item<int64_t>(), whole.size(0) - rows.size(0));
      EXPECT_EQ(own.macs, rows.size(0) * conv.macs());
    }
    at::set_num_threads(before);
  }
}

TEST_P(PackedConv, AddsToItsOwnResult) {
  const at::NoGradGuard no_grad;
  for (const Case& shape : kCases) {
    if (shape.stride != 1) continue;
    const Conv conv = Layer(shape).make();
    const Tensor x = input(shape);
    const ConvEnd end = with_residual(shape);
    Context context = GetParam();
    Tensor y = end.residual.clone();
    const Tensor rows = some_rows(y.size(0));
    conv.forward_at(rows, x, shape.grid, {.residual = y}, y, context);
    const Tensor whole = conv.forward(x, shape.grid, end, context);
    EXPECT_TRUE(y.index_select(0, rows).equal(whole.index_select(0, rows)));
  }
}

TEST(Conv, OtherDevicesAndTypesGatherTheSameRows) {
  const at::NoGradGuard no_grad;
  for (const Case& shape : kCases) {
    const Layer layer(shape);
    const auto wide = [](const Tensor& tensor) { return tensor.to(at::kDouble); };
    const Conv conv(wide(layer.weight), shape.stride,
                    {wide(layer.norm.weight), wide(layer.norm.bias), wide(layer.norm.mean),
                     wide(layer.norm.variance)});
    const Tensor x = wide(input(shape));
    ConvEnd end = with_residual(shape);
    const Tensor expected = layer.expected(x, shape.grid, end);
    Tensor y = wide(end.residual);
    end.residual = y;
    Context context;
    const Tensor rows = some_rows(y.size(0));
    conv.forward_at(rows, x, shape.grid, end, y, context);
    EXPECT_TRUE(at::allclose(y.index_select(0, rows), expected.index_select(0, rows)));
  }
}

TEST(Conv, TrainsByTheStatisticsOfTheBatch) {
  const Case shape = kCases[3];
  const Layer layer(shape);
  layer.weight.set_requires_grad(true);
  const Conv conv = layer.make();
  const Tensor x = input(shape), mean = layer.norm.mean.clone();
  Context context;
  const ConvEnd end{.relu = false, .batch_statistics = true};
  const Tensor y = conv.forward(x, shape.grid, end, context);
  EXPECT_TRUE(at::allclose(y.mean(0), layer.norm.bias, 1e-4, 1e-4));
  EXPECT_FALSE(layer.norm.mean.equal(mean));
  y.sum().backward();
  EXPECT_TRUE(layer.weight.grad().defined());
}

TEST(Conv, SeesItsNormChange) {
  const at::NoGradGuard no_grad;
  const Case shape = kCases[1];
  const Layer layer(shape);
  const Conv conv = layer.make();
  const Tensor x = input(shape);
  Context context;
  conv.forward(x, shape.grid, {}, context);
  layer.norm.mean.add_(1.0);
  EXPECT_TRUE(at::allclose(conv.forward(x, shape.grid, {}, context),
                           layer.expected(x, shape.grid, {}).to(at::kFloat), 1e-4, 1e-4));
}

}  // namespace
}  // namespace pace::kernels
