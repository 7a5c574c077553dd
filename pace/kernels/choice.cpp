#include "pace/kernels/choice.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

namespace pace::kernels {

Tensor best_choice(const Tensor& scores, const Tensor& charges) {
  const at::NoGradGuard no_grad;
  if (!scores.is_cpu()) return (scores - charges.to(scores.device())).argmax(-1);
  // LibTorch's argmax takes longer over a few numbers per row than the layers that make them.
  const int64_t rows = scores.size(0), choices = scores.size(1);
  const Tensor contiguous = scores.contiguous();
  Tensor best = at::empty({rows}, at::kLong);
  const float* score = contiguous.const_data_ptr<float>();
  const float* charge = charges.const_data_ptr<float>();
  int64_t* to = best.mutable_data_ptr<int64_t>();
  at::parallel_for(0, rows, 2048, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* mine = score + row * choices;
      int64_t at = 0;
      float greatest = mine[0] - charge[0];
      for (int64_t c = 1; c < choices; ++c) {
        const float value = mine[c] - charge[c];
        if (value > greatest) {
          greatest = value;
          at = c;
        }
      }
      to[row] = at;
    }
  });
  return best;
}

}  // namespace pace::kernels
