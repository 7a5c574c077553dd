#include "pace/kernels/cell.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "pace/kernels/isa.h"

namespace pace::kernels {

void renew_cell(const CellGates& gates, Tensor& states, int64_t column, const Tensor& rows,
                const Context& context) {
  constexpr int64_t kNumbersPerTask = 1 << 13;
  CellCall call;
  call.input = gates.input.const_data_ptr<float>();
  call.recurrent = gates.recurrent.const_data_ptr<float>();
  if (gates.extra.defined()) call.extra = gates.extra.const_data_ptr<float>();
  if (gates.input_rows.defined()) call.input_rows = gates.input_rows.const_data_ptr<int64_t>();
  if (rows.defined()) call.rows = rows.const_data_ptr<int64_t>();
  call.states = states.mutable_data_ptr<float>() + column;
  call.stride = states.size(1);
  call.hidden = gates.recurrent.size(1) / 4;
  const CpuKernels kernels = cpu_kernels(context);
  at::parallel_for(0, gates.recurrent.size(0),
                   std::max<int64_t>(1, kNumbersPerTask / gates.recurrent.size(1)),
                   [&](int64_t begin, int64_t end) { kernels.cell(call, begin, end - begin); });
}

Tensor next_cell(const CellGates& gates, const Tensor& states) {
  const Tensor& rows = gates.input_rows;
  Tensor sum = rows.defined() ? gates.input.index_select(0, rows) : gates.input;
  sum = sum + gates.recurrent;
  if (gates.extra.defined()) sum = sum + gates.extra;
  const std::vector<Tensor> parts = sum.chunk(4, 1);
  const Tensor memory = states.chunk(2, 1)[1];
  const Tensor renewed = parts[1].sigmoid() * memory + parts[0].sigmoid() * parts[2].tanh();
  return at::cat({parts[3].sigmoid() * renewed.tanh(), renewed}, 1);
}

}  // namespace pace::kernels
