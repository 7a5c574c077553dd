#include "pace/kernels/score.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "pace/kernels/isa.h"
#include "pace/kernels/positions.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

namespace {

/// Positions of a task: their scores take about as long as it takes to call another thread.
constexpr int64_t kPiece = 256;

}  // namespace

Tensor MapScore::forward(const Tensor& x, const Grid& grid, Context& context) const {
  const Tensor maps = x.view({grid.pictures, grid.lines, grid.columns, x.size(1)});
  const Tensor of_pictures =
      linear(maps.mean(at::IntArrayRef{1, 2}), mean_weight_, bias_, context).flatten();
  if (!by_position()) return of_pictures;
  context.macs += grid.rows() * position_macs();
  return at::conv2d(maps.permute({0, 3, 1, 2}), conv_weight_, {}, {1, 1}, {1, 1}).flatten() +
         of_pictures.repeat_interleave(grid.positions());
}

Tensor MapScore::forward_at(const Tensor& units, const Tensor& x, const Grid& grid,
                            Context& context) const {
  const Tensor pictures = by_position() ? pictures_of(units, grid) : units;
  context.macs += pictures.numel() * mean_macs() + units.numel() * position_macs();
  if (!runs_own_kernels(x)) {
    Context uncounted;
    return forward(x, grid, uncounted).index_select(0, units.to(x.device()));
  }
  const Tensor input = x.contiguous();
  Tensor out = at::zeros({units.numel()}, x.options());
  std::shared_ptr<const Tensor> lines;
  ScoreCall call;
  call.x = input.const_data_ptr<float>();
  call.channels = x.size(1);
  call.lines = grid.lines;
  call.columns = grid.columns;
  call.mean_weight = mean_weight_.const_data_ptr<float>();
  call.rows = units.const_data_ptr<int64_t>();
  call.y = out.mutable_data_ptr<float>();
  if (by_position()) {
    lines = lines_.of({conv_weight_}, [&] {
      return at::constant_pad_nd(conv_weight_.detach().squeeze(0).permute({1, 2, 0}),
                                 {0, 0, 0, 0, 0, 1});
    });
    call.weight = lines->const_data_ptr<float>();
  }

  const CpuKernels kernels = cpu_kernels(context);
  const int64_t positions = grid.positions(), pieces = (positions + kPiece - 1) / kPiece;
  const int64_t* picture = pictures.const_data_ptr<int64_t>();
  const int64_t *first = call.rows, *last = first + units.numel();
  std::vector<float> sums(static_cast<size_t>(pictures.numel() * pieces));
  run_tasks(std::ssize(sums), 0, [&](int64_t task, float*) {
    const int64_t begin = picture[task / pieces] * positions + task % pieces * kPiece;
    const int64_t end = std::min(begin + kPiece, (picture[task / pieces] + 1) * positions);
    sums[static_cast<size_t>(task)] = kernels.mean_score(call, begin, end - begin);
    if (!by_position()) return;
    const int64_t* from = std::lower_bound(first, last, begin);
    kernels.score(call, from - first, std::lower_bound(from, last, end) - from);
  });

  const float bias = *bias_.const_data_ptr<float>();
  int64_t unit = 0;
  for (int64_t i = 0; i < pictures.numel(); ++i) {
    const auto begin = sums.begin() + i * pieces;
    const float mean = std::accumulate(begin, begin + pieces, 0.0F) / static_cast<float>(positions);
    const int64_t beyond = by_position() ? (picture[i] + 1) * positions : picture[i] + 1;
    const int64_t end = std::lower_bound(first + unit, last, beyond) - first;
    for (; unit < end; ++unit) call.y[unit] += mean + bias;
  }
  return out;
}

}  // namespace pace::kernels
