#pragma once

#include <ATen/ATen.h>

#include "pace/kernels/dense.h"
#include "pace/kernels/isa.h"

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
  /// Where defined, [out, in] and [out]: a dense map that rows of k = N+1 run in place of learners.
  Tensor dense_weight, dense_bias;

  int64_t count() const { return in_weight.size(0) / width; }
  int64_t most() const { return count() + (dense_weight.defined() ? 1 : 0); }  ///< greatest k
};

/// The same weights laid out for the kernel that a context asks for, on the CPU. Packed once; it is
/// never changed and may be used by several threads at a time.
class PackedLearners {
 public:
  /// With products of bfloat16, weights, input and hidden units are rounded to it.
  PackedLearners(const Learners& learners, const Context& context);

  int64_t in() const { return in_; }
  int64_t out() const { return offsets_.size(1); }
  int64_t most() const { return offsets_.size(0) - 1; }  ///< greatest k

 private:
  friend Tensor ragged_mlp(const Tensor& x, const Tensor& k, const PackedLearners& learners,
                           Context& context);

  CpuKernels kernels_;
  int64_t in_ = 0, width_ = 0;
  Activation activation_;
  Tensor in_weight_;     ///< [panels of hidden units, words, panel, pack]
  Tensor in_bias_;       ///< [panels * panel]
  Tensor out_weight_;    ///< [chunks of hidden units, panels of outputs, words, panel, pack]
  Tensor offsets_;       ///< [most+1, out]
  Tensor dense_weight_;  ///< [panels of outputs, words, panel, pack], or undefined
};

/// Each row runs its own number of learners, out[i] = offsets[k_i] + sum_{n < k_i} learner_n(x[i]),
/// or the dense map. x [rows, in] of any type, k [rows] int64 in 0..most, both on the CPU -> [rows,
/// out] float32. Records no gradients. Rows are sorted by k and run in blocks, the widest first; a
/// row's bits depend neither on the other rows nor on the number of threads.
Tensor ragged_mlp(const Tensor& x, const Tensor& k, const PackedLearners& learners,
                  Context& context);

/// The same by tensor operations, one dense MLP for each group of equal k, for other devices.
Tensor grouped_mlp(const Tensor& x, const Tensor& k, const Learners& learners, Context& context);

}  // namespace pace::kernels
