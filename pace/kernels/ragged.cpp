#include "pace/kernels/ragged.h"

#include "pace/base/error.h"

namespace pace::kernels {

namespace {

/// The first `count` learners as one dense MLP over `x` [rows, in].
Tensor run_learners(const Tensor& x, int64_t count, const Learners& learners, MacCounter& counter) {
  const int64_t units = count * learners.width;
  const Tensor hidden = activate(linear(x, learners.in_weight.narrow(0, 0, units),
                                        learners.in_bias.narrow(0, 0, units), counter),
                                 learners.activation);
  return linear(hidden, learners.out_weight.narrow(1, 0, units), learners.offsets[count], counter);
}

}  // namespace

Tensor ragged_mlp(const Tensor& x, const Tensor& k, const Learners& learners, MacCounter& counter) {
  const int64_t rows = x.size(0), count = learners.count();
  if (k.dim() != 1 || k.size(0) != rows) {
    fail("ragged_mlp: k has {} entries for {} rows", k.numel(), rows);
  }
  const auto [sorted, order] = k.sort();
  const Tensor counts = at::bincount(sorted, {}, count + 1).to(at::kCPU);
  if (counts.size(0) != count + 1) {
    fail("ragged_mlp: k reaches {} where there are {} learners", counts.size(0) - 1, count);
  }
  const Tensor gathered = x.index_select(0, order);
  const Tensor results = at::empty({rows, learners.offsets.size(1)}, x.options());
  const int64_t* group = counts.const_data_ptr<int64_t>();
  for (int64_t n = 0, begin = 0; n <= count; begin += group[n], ++n) {
    if (group[n] == 0) continue;
    Tensor target = results.narrow(0, begin, group[n]);
    if (n == 0) {
      target.copy_(learners.offsets[0].expand_as(target));
    } else {
      target.copy_(run_learners(gathered.narrow(0, begin, group[n]), n, learners, counter));
    }
  }
  return at::empty_like(results).index_copy_(0, order, results);
}

}  // namespace pace::kernels
