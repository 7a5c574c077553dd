#include "pace/kernels/score.h"

#include <algorithm>
#include <vector>

#include "pace/kernels/isa.h"
#include "pace/kernels/positions.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

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
  Tensor of_pictures = at::empty({grid.pictures}, x.options());
  ScoreCall call;
  call.x = input.const_data_ptr<float>();
  call.channels = x.size(1);
  call.lines = grid.lines;
  call.columns = grid.columns;
  call.mean_weight = mean_weight_.const_data_ptr<float>();
  call.bias = *bias_.const_data_ptr<float>();
  call.of_pictures = of_pictures.mutable_data_ptr<float>();
  const CpuKernels kernels = cpu_kernels(context);
  const int64_t* picture = pictures.const_data_ptr<int64_t>();
  run_tasks(pictures.numel(), 0,
            [&](int64_t task, float*) { kernels.mean_score(call, picture[task]); });
  if (!by_position()) return of_pictures.index_select(0, units);

  const auto weight = weight_lines_.of({conv_weight_}, [&] {
    return at::constant_pad_nd(conv_weight_.detach().squeeze(0).permute({1, 2, 0}),
                               {0, 0, 0, 0, 0, 1});
  });
  Tensor out = at::empty({units.numel()}, x.options());
  call.weight = weight->const_data_ptr<float>();
  call.rows = units.const_data_ptr<int64_t>();
  call.y = out.mutable_data_ptr<float>();
  constexpr int64_t kRows = 1024;  // of a task: a few microseconds
  const int64_t count = units.numel();
  run_tasks((count + kRows - 1) / kRows, 0, [&](int64_t task, float*) {
    kernels.score(call, task * kRows, std::min(kRows, count - task * kRows));
  });
  return out;
}

}  // namespace pace::kernels
