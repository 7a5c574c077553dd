#include "pace/kernels/linear.h"

#include "pace/kernels/isa.h"
#include "pace/kernels/panels.h"
#include "pace/kernels/product.h"

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
    return Packed{kernels, pack_panels(weight.detach(), kernels),
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
  call.in = call.stride = weight.size(1);
  call.out_width = weight.size(0);
  call.weight = packed->weight.const_data_ptr();
  call.bias = packed->bias.const_data_ptr<float>();
  call.activation = activation;

  const int64_t rows = x.numel() / call.in;
  run_products({{call, rows}}, packed->weight.size(0), kernels);
  context.macs += rows * weight.numel();
  return out;
}

}  // namespace pace::kernels
