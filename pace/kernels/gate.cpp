#include "pace/kernels/gate.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "pace/kernels/panels.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

namespace {

std::vector<float> padded(std::span<const float> values, int64_t multiple) {
  std::vector<float> all(values.begin(), values.end());
  all.resize(static_cast<size_t>(round_up(static_cast<int64_t>(values.size()), multiple)));
  return all;
}

}  // namespace

PackedGate::PackedGate(const Tensor& in_weight, const Tensor& out_weight, const Context& context)
    : kernels_(cpu_kernels(context)),
      in_(in_weight.size(1)),
      hidden_(in_weight.size(0)),
      choices_(out_weight.size(0)),
      in_weight_(pack_panels(in_weight.detach(), kernels_.lanes, kernels_.pack, kernels_.step)) {
  const int64_t depth = round_up(hidden_, kernels_.lanes);
  out_weight_ = pack_panels(at::constant_pad_nd(out_weight.detach(), {0, depth - hidden_}),
                            kernels_.lanes, /*pack=*/1);
}

Tensor best_choice(const Tensor& x, const PackedGate& gate, std::span<const float> in_bias,
                   std::span<const float> out_bias, int64_t first, Context& context) {
  const CpuKernels& kernels = gate.kernels_;
  const int64_t rows = x.size(0);
  const Tensor input = x.contiguous();
  Tensor out = at::empty({rows}, at::kLong);
  if (rows == 0) return out;
  const std::vector<float> hidden_bias = padded(in_bias, kernels.lanes),
                           choice_bias = padded(out_bias, kernels.lanes);
  GateCall call;
  call.x = input.const_data_ptr<float>();
  call.out = out.mutable_data_ptr<int64_t>();
  call.in = gate.in_;
  call.hidden = gate.hidden_;
  call.choices = gate.choices_;
  call.in_weight = gate.in_weight_.const_data_ptr();
  call.in_bias = hidden_bias.data();
  call.out_weight = gate.out_weight_.const_data_ptr<float>();
  call.out_bias = choice_bias.data();
  call.first = first;

  const int64_t height =
      round_up((rows + at::get_num_threads() - 1) / at::get_num_threads(), kernels.tile);
  run_tasks((rows + height - 1) / height, kernels.gate_scratch(call),
            [&](int64_t task, float* scratch) {
              const int64_t begin = task * height;
              kernels.gate(call, begin, std::min(height, rows - begin), scratch);
            });
  context.macs += rows * gate.hidden_ * (gate.in_ + gate.choices_);
  return out;
}

}  // namespace pace::kernels
