#include "pace/kernels/positions.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "pace/kernels/dense.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

namespace {

using Mask = std::vector<uint8_t>;

/// or-s to each byte of a line its neighbours in the line.
void widen(uint8_t* line, int64_t columns, Mask& copy) {
  copy.assign(line, line + columns);
  for (int64_t x = 1; x < columns; ++x) line[x] |= copy[x - 1];
  for (int64_t x = 1; x < columns; ++x) line[x - 1] |= copy[x];
}

void join(const uint8_t* from, int64_t columns, uint8_t* to) {
  for (int64_t x = 0; x < columns; ++x) to[x] |= from[x];
}

/// Marks spread over the lines of one picture.
void spread(uint8_t* marks, const Grid& grid, Mask& line, Mask& whole) {
  const int64_t columns = grid.columns;
  for (int64_t y = 0; y < grid.lines; ++y) widen(marks + y * columns, columns, line);
  whole.assign(marks, marks + grid.positions());
  for (int64_t y = 0; y < grid.lines; ++y) {
    if (y > 0) join(whole.data() + (y - 1) * columns, columns, marks + y * columns);
    if (y + 1 < grid.lines) join(whole.data() + (y + 1) * columns, columns, marks + y * columns);
  }
}

}  // namespace

Tensor dilate(const Tensor& rows, const Grid& grid) {
  if (rows.numel() == grid.rows()) return rows;
  const int64_t positions = grid.positions();
  Mask marks(static_cast<size_t>(grid.rows()), 0);
  std::vector<int64_t> ends(static_cast<size_t>(grid.pictures));
  const int64_t *active = rows.const_data_ptr<int64_t>(), *last = active + rows.numel();
  run_tasks(grid.pictures, 0, [&](int64_t picture, float*) {
    const int64_t begin = picture * positions;
    uint8_t* mine = marks.data() + begin;
    for (const int64_t* row = std::lower_bound(active, last, begin);
         row < last && *row < begin + positions; ++row) {
      mine[*row - begin] = 1;
    }
    Mask line, whole;
    spread(mine, grid, line, whole);
    ends[static_cast<size_t>(picture)] = std::count(mine, mine + positions, 1);
  });
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  Tensor out = at::empty({ends.back()}, rows.options());
  int64_t* to = out.mutable_data_ptr<int64_t>();
  run_tasks(grid.pictures, 0, [&](int64_t picture, float*) {
    const uint8_t* mine = marks.data() + picture * positions;
    int64_t count = picture > 0 ? ends[static_cast<size_t>(picture) - 1] : 0;
    for (int64_t i = 0, end = ends[static_cast<size_t>(picture)]; count < end; ++i) {
      to[count] = picture * positions + i;  // overwritten by the next where this one is not marked
      count += mine[i];
    }
  });
  return out;
}

std::vector<int64_t> count_by_picture(const Tensor& rows, const Grid& grid) {
  std::vector<int64_t> counts;
  const int64_t* begin = rows.const_data_ptr<int64_t>();
  const int64_t *end = begin + rows.numel(), *from = begin;
  for (int64_t picture = 0; picture < grid.pictures; ++picture) {
    const int64_t* next = std::lower_bound(from, end, (picture + 1) * grid.positions());
    counts.push_back(next - from);
    from = next;
  }
  return counts;
}

Tensor pictures_of(const Tensor& rows, const Grid& grid) {
  const int64_t* begin = rows.const_data_ptr<int64_t>();
  const int64_t *end = begin + rows.numel(), *from = begin;
  Tensor out = at::empty({grid.pictures}, rows.options());
  int64_t* to = out.mutable_data_ptr<int64_t>();
  int64_t count = 0;
  while (from < end) {
    to[count] = *from / grid.positions();
    from = std::lower_bound(from, end, (to[count++] + 1) * grid.positions());
  }
  return out.narrow(0, 0, count);
}

Tensor rows_of_pictures(const Tensor& pictures, const Grid& grid) {
  const Tensor begins = pictures * grid.positions();
  return (begins.unsqueeze(1) + at::arange(grid.positions(), at::kLong)).flatten();
}

void add_weighted(const Tensor& rows, const Tensor& weights, const Tensor& states, Tensor& sums) {
  if (!runs_own_kernels(states)) {
    const Tensor places = rows.to(states.device());
    const Tensor part = states.index_select(0, places);
    sums.index_add_(0, places, part * weights.to(part).unsqueeze(1));
    return;
  }
  constexpr int64_t kRows = 256;  // of a task
  const int64_t dim = states.size(1), count = rows.numel();
  const Tensor input = states.contiguous();
  const int64_t* row = rows.const_data_ptr<int64_t>();
  const float *weight = weights.const_data_ptr<float>(), *from = input.const_data_ptr<float>();
  float* to = sums.mutable_data_ptr<float>();
  run_tasks((count + kRows - 1) / kRows, 0, [&](int64_t task, float*) {
    for (int64_t i = task * kRows; i < std::min((task + 1) * kRows, count); ++i) {
      const float *state = from + row[i] * dim, factor = weight[i];
      float* sum = to + row[i] * dim;
      for (int64_t d = 0; d < dim; ++d) sum[d] += factor * state[d];
    }
  });
}

}  // namespace pace::kernels
