#include "pace/kernels/positions.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "pace/kernels/score.h"
#include "tests/kernels/contexts.h"

namespace pace::kernels {
namespace {

const std::vector<Grid> kGrids{{1, 1, 1}, {2, 1, 9}, {3, 7, 1}, {2, 2, 2}, {3, 8, 33}};

Tensor some_rows(const Grid& grid, double share) {
  const Tensor chosen = at::rand({grid.rows()}, seeded(3)).lt(share);
  return chosen.nonzero().squeeze(1);
}

TEST(Positions, DilationIsMaxPoolingOfAMask) {
  for (const Grid& grid : kGrids) {
    for (const double share : {0.0, 0.05, 0.5, 1.0}) {
      const Tensor rows = some_rows(grid, share);
      Tensor mask = at::zeros({grid.rows()});
      mask.index_fill_(0, rows, 1.0);
      const Tensor maps = mask.view({grid.pictures, 1, grid.lines, grid.columns});
      const Tensor expected =
          at::max_pool2d(maps, {3, 3}, {1, 1}, {1, 1}).flatten().nonzero().squeeze(1);
      EXPECT_TRUE(dilate(rows, grid).equal(expected)) << rows.numel() << " of " << grid.rows();
      const Tensor counts = mask.view({grid.pictures, -1}).sum(1).to(at::kLong);
      EXPECT_TRUE(at::tensor(count_by_picture(rows, grid)).equal(counts));
      EXPECT_TRUE(pictures_of(rows, grid).equal(counts.nonzero().squeeze(1)));
    }
  }
}

TEST(Positions, RowsOfPicturesAreAllOfTheirs) {
  const Tensor rows = rows_of_pictures(at::tensor({0, 2}, at::kLong), {3, 2, 2});
  EXPECT_TRUE(rows.equal(at::tensor({0, 1, 2, 3, 8, 9, 10, 11}, at::kLong)));
}

TEST(Positions, WeightedRowsAreAddedOfAnyShape) {
  const at::NoGradGuard no_grad;
  for (const int64_t count : {1, 3, 256, 700}) {
    for (const int64_t dim : {1, 5, 16, 67}) {
      const Tensor states = at::randn({2 * count, dim}, seeded(1));
      const Tensor rows = at::arange(0, 2 * count, 2, at::kLong);
      const Tensor weights = at::rand({count}, seeded(2));
      Tensor sums = at::randn({2 * count, dim}, seeded(3));
      const Tensor expected =
          sums.index_add(0, rows, states.index_select(0, rows) * weights.unsqueeze(1));
      add_weighted(rows, weights, states, sums);
      EXPECT_TRUE(at::allclose(sums, expected, 1e-6, 1e-6));
    }
  }
}

class Score : public ::testing::TestWithParam<Context> {};
INSTANTIATE_TEST_SUITE_P(Kernels, Score, ::testing::ValuesIn(contexts_here()), context_name);

TEST_P(Score, OfPicturesIsLinearInTheirMeans) {
  const at::NoGradGuard no_grad;
  for (const Grid& grid : kGrids) {
    for (const int64_t channels : {1, 6, 16, 35}) {
      const Tensor x = at::randn({grid.rows(), channels}, seeded(1));
      const Tensor weight = at::randn({1, channels}, seeded(2)), bias = at::randn({1}, seeded(3));
      const MapScore score(weight, bias, {});
      const Tensor means = x.view({grid.pictures, -1, channels}).mean(1);
      const Tensor expected = at::linear(means, weight, bias).flatten();
      const Tensor last = at::full({1}, grid.pictures - 1, at::kLong);
      Context context = GetParam();
      EXPECT_TRUE(at::allclose(score.forward_at(last, x, grid, context),
                               expected.slice(0, grid.pictures - 1), 1e-4, 1e-4));
      EXPECT_EQ(context.macs, channels);
      EXPECT_TRUE(at::allclose(score.forward(x, grid, context), expected, 1e-4, 1e-4));
    }
  }
}

TEST_P(Score, EqualsTheConvolutionAtSomeRows) {
  const at::NoGradGuard no_grad;
  const int before = at::get_num_threads();
  for (const Grid& grid : kGrids) {
    for (const int64_t channels : {1, 6, 16, 35}) {
      const Tensor x = at::randn({grid.rows(), channels}, seeded(1));
      const MapScore score(at::randn({1, channels}, seeded(4)), at::randn({1}, seeded(5)),
                           at::randn({1, channels, 3, 3}, seeded(2)));
      const Tensor rows = at::arange(0, grid.rows(), 2, at::kLong);
      Context context = GetParam(), other = GetParam();
      const Tensor expected = score.forward(x, grid, other).index_select(0, rows);
      const Tensor given = score.forward_at(rows, x, grid, context);
      EXPECT_TRUE(at::allclose(given, expected, 1e-4, 1e-4));
      const int64_t pictures = pictures_of(rows, grid).numel();
      EXPECT_EQ(context.macs, 9 * rows.numel() * channels + pictures * channels);
      at::set_num_threads(3);
      EXPECT_TRUE(score.forward_at(rows, x, grid, context).equal(given));
      at::set_num_threads(before);
    }
  }
}

}  // namespace
}  // namespace pace::kernels
