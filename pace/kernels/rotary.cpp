#include "pace/kernels/rotary.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "pace/kernels/dense.h"
#include "pace/kernels/isa.h"

namespace pace::kernels {

Rotary::Rotary(int64_t width, double base, int64_t positions) : width_(width) {
  // In float32 as transformers has them, since rounding far positions moves their angles.
  const Tensor exponents = at::arange(0, width, 2, at::kLong).to(at::kFloat) / width;
  const Tensor frequencies = 1.0 / at::pow(base, exponents);
  const Tensor angles = at::outer(at::arange(positions, at::kFloat), frequencies);
  cos_ = angles.cos();
  sin_ = angles.sin();
}

Tensor Rotary::forward(const Tensor& x, const Tensor& positions, const Context& context) const {
  const int64_t rows = x.size(0), heads = x.size(1) / width_;
  if (!runs_own_kernels(x)) {
    const auto at_rows = [&](const Tensor& table) {
      return table.index_select(0, positions).unsqueeze(1).to(x.device());
    };
    const Tensor cos = at_rows(cos_), sin = at_rows(sin_);
    const std::vector<Tensor> halves = x.view({rows, heads, width_}).chunk(2, -1);
    return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
        .flatten(1);
  }
  constexpr int64_t kNumbersPerTask = 1 << 14;
  const Tensor from = with_dense_rows(x), at = positions.contiguous();
  Tensor out = at::empty(x.sizes());
  RotaryCall call;
  call.x = from.const_data_ptr<float>();
  call.out = out.mutable_data_ptr<float>();
  call.positions = at.const_data_ptr<int64_t>();
  call.cos = cos_.const_data_ptr<float>();
  call.sin = sin_.const_data_ptr<float>();
  call.heads = heads;
  call.width = width_;
  call.stride = from.stride(0);
  const CpuKernels kernels = cpu_kernels(context);
  at::parallel_for(0, rows, std::max<int64_t>(1, kNumbersPerTask / x.size(1)),
                   [&](int64_t begin, int64_t end) { kernels.rotary(call, begin, end - begin); });
  return out;
}

}  // namespace pace::kernels
