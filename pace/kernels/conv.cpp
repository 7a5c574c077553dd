#include "pace/kernels/conv.h"

#include <algorithm>

#include "pace/kernels/cut.h"
#include "pace/kernels/isa.h"
#include "pace/kernels/panels.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

struct Conv::Packed {
  CpuKernels kernels;
  bool narrow;
  Tensor weight;  ///< [panels, words, panel, pack]
  Tensor bias;    ///< [panels * panel]
  Tensor zeros;   ///< [side * in]
};

namespace {

/// Rows of maps as [pictures, channels, lines, columns].
Tensor as_maps(const Tensor& rows, const Grid& grid) {
  return rows.view({grid.pictures, grid.lines, grid.columns, rows.size(1)}).permute({0, 3, 1, 2});
}

Tensor as_rows(const Tensor& maps) {
  return maps.permute({0, 2, 3, 1}).reshape({-1, maps.size(1)});
}

/// The rows of x that a kernel sees at each of these rows of its result: int64 [rows, side * side],
/// x's number of rows where that is beyond an edge.
Tensor neighbours(const Tensor& rows, const Grid& grid, int64_t side, int64_t stride) {
  const Grid out = grid.strided(stride);
  const Tensor line = rows.floor_divide(out.columns);
  const Tensor offset = at::arange(side, rows.options()) - side / 2;
  const Tensor y = (line.remainder(out.lines) * stride).unsqueeze(1) + offset;
  const Tensor x = (rows.remainder(out.columns) * stride).unsqueeze(1) + offset;
  const Tensor first = line.floor_divide(out.lines) * grid.positions();
  const Tensor seen = first.view({-1, 1, 1}) + y.unsqueeze(2) * grid.columns + x.unsqueeze(1);
  const Tensor inside = y.ge(0)
                            .logical_and(y.lt(grid.lines))
                            .unsqueeze(2)
                            .logical_and(x.ge(0).logical_and(x.lt(grid.columns)).unsqueeze(1));
  return seen.where(inside, at::full({}, grid.rows(), rows.options())).flatten(1);
}

}  // namespace

Tensor Conv::scale() const { return norm_.weight / (norm_.variance + norm_.epsilon).sqrt(); }

Tensor Conv::plain(const Tensor& x, const Grid& grid, const ConvEnd& end) const {
  const int64_t padding = weight_.size(2) / 2;
  const Tensor maps =
      at::conv2d(as_maps(x, grid), weight_, {}, {stride_, stride_}, {padding, padding});
  Tensor y = as_rows(at::batch_norm(maps, norm_.weight, norm_.bias, norm_.mean, norm_.variance,
                                    end.batch_statistics, norm_.momentum, norm_.epsilon,
                                    /*cudnn_enabled=*/true));
  if (end.residual.defined()) y = y + end.residual;
  return end.relu ? y.relu() : y;
}

Tensor Conv::forward(const Tensor& x, const Grid& grid, const ConvEnd& end,
                     Context& context) const {
  const int64_t rows = grid.strided(stride_).rows();
  if (runs_own_kernels(x)) {
    Tensor y = at::empty({rows, weight_.size(0)}, x.options());
    run({}, x, grid, end, y, context);
    return y;
  }
  context.macs += rows * macs();
  return plain(x, grid, end);
}

void Conv::forward_at(const Tensor& rows, const Tensor& x, const Grid& grid, const ConvEnd& end,
                      Tensor& y, Context& context) const {
  if (rows.numel() == 0) return;
  if (runs_own_kernels(x)) return run(rows, x, grid, end, y, context);
  const Tensor padded = at::constant_pad_nd(x, {0, 0, 0, 1});
  const Tensor places = rows.to(x.device());
  const Tensor seen = padded.index_select(
      0, neighbours(places, grid, weight_.size(2), stride_).flatten());  // [rows * side^2, in]
  const Tensor folded = (weight_ * scale().view({-1, 1, 1, 1})).permute({0, 2, 3, 1}).flatten(1);
  Tensor out =
      linear(seen.view({places.size(0), -1}), folded, norm_.bias - norm_.mean * scale(), context);
  if (end.residual.defined()) out = out + end.residual.index_select(0, places);
  if (end.relu) out = out.relu();
  y.index_copy_(0, places, out.to(y.scalar_type()));
}

void Conv::run(const Tensor& rows, const Tensor& x, const Grid& grid, const ConvEnd& end, Tensor& y,
               Context& context) const {
  const auto packed =
      packed_.of(context, {weight_, norm_.weight, norm_.bias, norm_.mean, norm_.variance}, [&] {
        const CpuKernels kernels = cpu_kernels(context);
        const bool narrow = weight_.size(0) <= kernels.lanes && side() <= ConvCall::kWidest;
        const int64_t width = narrow ? kernels.lanes : kernels.panel;
        const Tensor factor = scale().detach();
        const Tensor folded = (weight_.detach() * factor.view({-1, 1, 1, 1})).permute({0, 2, 3, 1});
        const Tensor bias = norm_.bias.detach() - norm_.mean * factor;
        return Packed{kernels, narrow,
                      pack_panels(folded.flatten(1), width, kernels.pack, kernels.step),
                      pad_columns(bias, weight_.size(0), width),
                      at::zeros({weight_.size(2) * weight_.size(1)})};
      });
  const Grid out = grid.strided(stride_);
  const Tensor input = x.contiguous();
  const Tensor residual = end.residual.defined() ? end.residual.contiguous() : Tensor();
  ConvCall call;
  call.x = input.const_data_ptr<float>();
  call.y = y.mutable_data_ptr<float>();
  if (residual.defined()) call.residual = residual.const_data_ptr<float>();
  if (rows.defined()) call.rows = rows.const_data_ptr<int64_t>();
  call.in = weight_.size(1);
  call.out = weight_.size(0);
  call.lines = grid.lines;
  call.columns = grid.columns;
  call.out_lines = out.lines;
  call.out_columns = out.columns;
  call.side = weight_.size(2);
  call.stride = stride_;
  call.weight = packed->weight.const_data_ptr();
  call.bias = packed->bias.const_data_ptr<float>();
  call.zeros = packed->zeros.const_data_ptr<float>();
  call.narrow = packed->narrow;
  call.relu = end.relu;

  const CpuKernels& kernels = packed->kernels;
  const int64_t count = rows.defined() ? rows.numel() : out.rows();
  const int64_t panels = packed->weight.size(0);
  CpuKernels mine = kernels;
  mine.most_rows = std::max<int64_t>(12, kernels.tile);
  const Cut cut = cut_product(count, panels, count * macs(), mine);
  run_tasks(cut.row_blocks * cut.panel_groups, kernels.convolution_scratch(call, cut.height),
            [&](int64_t task, float* scratch) {
              const int64_t row = task % cut.row_blocks * cut.height;
              const int64_t panel = task / cut.row_blocks * cut.panels;
              kernels.convolution(call, row, std::min(cut.height, count - row), panel,
                                  std::min(cut.panels, panels - panel), scratch);
            });
  context.macs += count * macs();
}

}  // namespace pace::kernels
