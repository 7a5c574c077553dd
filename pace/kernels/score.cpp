#include "pace/kernels/score.h"

#include <algorithm>

#include "pace/kernels/isa.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

Tensor PositionScore::forward(const Tensor& x, const Grid& grid, Context& context) const {
  context.macs += grid.rows() * macs();
  const Tensor maps =
      x.view({grid.pictures, grid.lines, grid.columns, x.size(1)}).permute({0, 3, 1, 2});
  return at::conv2d(maps, weight_, {}, {1, 1}, {1, 1}).flatten();
}

Tensor PositionScore::forward_at(const Tensor& rows, const Tensor& x, const Grid& grid,
                                 Context& context) const {
  if (!runs_own_kernels(x)) return forward(x, grid, context).index_select(0, rows);
  const Tensor weight = weight_.detach().permute({0, 2, 3, 1}).contiguous();  // channels last
  const Tensor input = x.contiguous(), places = rows.contiguous();
  Tensor out = at::empty({rows.numel()}, x.options());
  ScoreCall call;
  call.x = input.const_data_ptr<float>();
  call.y = out.mutable_data_ptr<float>();
  call.rows = places.const_data_ptr<int64_t>();
  call.channels = x.size(1);
  call.lines = grid.lines;
  call.columns = grid.columns;
  call.weight = weight.const_data_ptr<float>();
  constexpr int64_t kRows = 512;  // of a task
  const CpuKernels kernels = cpu_kernels(context);
  const int64_t count = rows.numel();
  run_tasks((count + kRows - 1) / kRows, 0, [&](int64_t task, float*) {
    kernels.score(call, task * kRows, std::min(kRows, count - task * kRows));
  });
  context.macs += count * macs();
  return out;
}

}  // namespace pace::kernels
