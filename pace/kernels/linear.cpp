#include "pace/kernels/linear.h"

#include <algorithm>

#include "pace/kernels/cut.h"
#include "pace/kernels/isa.h"
#include "pace/kernels/panels.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

struct Linear::Packed {
  CpuKernels kernels;
  Tensor weight;  ///< [panels, words, panel, pack]
  Tensor bias;    ///< [panels * panel]
};

Tensor Linear::forward(const Tensor& x, Context& context, Activation activation) const {
  const Tensor weight = transposed_ ? weight_.t() : weight_.flatten(1);
  if (!runs_own_kernels(x)) return activate(linear(x, weight, bias_, context), activation);

  const auto packed = packed_.of(context, {weight_, bias_}, [&] {
    const CpuKernels kernels = cpu_kernels(context);
    return Packed{kernels, pack_panels(weight.detach(), kernels.panel, kernels.pack),
                  pad_columns(bias_, weight.size(0), kernels.panel)};
  });
  const CpuKernels& kernels = packed->kernels;
  const Tensor input = x.contiguous();
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  Tensor out = at::empty(sizes, input.options());
  ProductCall call;
  call.x = input.const_data_ptr<float>();
  call.out = out.mutable_data_ptr<float>();
  call.in = weight.size(1);
  call.out_width = weight.size(0);
  call.weight = packed->weight.const_data_ptr();
  call.bias = packed->bias.const_data_ptr<float>();
  call.activation = activation;

  const int64_t rows = x.numel() / call.in, panels = packed->weight.size(0);
  const int64_t macs = rows * weight.numel();
  // Few rows take as long as their weights take to be read.
  const int64_t work = std::max<int64_t>(rows, 8) * weight.numel();
  const Cut cut = cut_product(rows, panels, work, kernels);
  run_tasks(cut.row_blocks * cut.panel_groups, kernels.product_scratch(call, cut.height),
            [&](int64_t task, float* scratch) {
              // Tasks that follow each other share their weights.
              const int64_t row = task % cut.row_blocks * cut.height;
              const int64_t panel = task / cut.row_blocks * cut.panels;
              kernels.product(call, row, std::min(cut.height, rows - row), panel,
                              std::min(cut.panels, panels - panel), scratch);
            });
  context.macs += macs;
  return out;
}

}  // namespace pace::kernels
