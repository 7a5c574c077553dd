#include "pace/kernels/panels.h"

namespace pace::kernels {

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

Tensor pack_panels(const Tensor& weight, int64_t width, int64_t pack, int64_t step) {
  const int64_t columns = round_up(weight.size(0), width),
                depth = round_up(weight.size(1), pack * step);
  return at::constant_pad_nd(weight, {0, depth - weight.size(1), 0, columns - weight.size(0)})
      .reshape({columns / width, width, depth / pack, pack})
      .permute({0, 2, 1, 3})
      .to(pack == 2 ? at::kBFloat16 : at::kFloat)
      .contiguous();
}

Tensor pack_panels(const Tensor& weight, const CpuKernels& kernels) {
  return pack_panels(weight, kernels.panel, kernels.pack, kernels.step);
}

Tensor pad_columns(const Tensor& bias, int64_t columns, int64_t width) {
  const int64_t padded = round_up(columns, width);
  if (!bias.defined()) return at::zeros({padded});
  return at::constant_pad_nd(bias.to(at::kFloat), {0, padded - columns}).contiguous();
}

}  // namespace pace::kernels
