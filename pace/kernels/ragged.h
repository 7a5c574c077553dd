#pragma once

#include <ATen/ATen.h>

#include "pace/kernels/dense.h"

namespace pace::kernels {

/// Weights of N learners of the same shape, stacked: learner n owns rows [n*width, (n+1)*width) of
/// `in_weight` and the same columns of `out_weight`.
struct Learners {
  Tensor in_weight;   ///< [N*width, in]
  Tensor in_bias;     ///< [N*width]
  Tensor out_weight;  ///< [out, N*width]
  Tensor offsets;     ///< [N+1, out]: what is added to a row that runs k learners, row k
  int64_t width = 0;
  Activation activation = Activation::kGelu;

  int64_t count() const { return in_weight.size(0) / width; }
};

/// Each row runs its own number of learners: out[i] = offsets[k_i] + sum_{n < k_i} learner_n(x[i]).
/// x [rows, in], k [rows] int64 in 0..N -> [rows, out]. Rows are sorted by k, so rows of one k are
/// a contiguous dense MLP over the first k learners; nothing is masked and nothing else is
/// computed.
Tensor ragged_mlp(const Tensor& x, const Tensor& k, const Learners& learners, MacCounter& counter);

}  // namespace pace::kernels
