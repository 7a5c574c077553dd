#pragma once

#include <utility>

#include "pace/kernels/dense.h"
#include "pace/kernels/prepared.h"
#include "pace/kernels/sequences.h"

namespace pace::kernels {

/// How a convolution goes over the rows of a sequence.
struct Conv1dShape {
  int64_t stride = 1;
  int64_t groups = 1;  ///< of channels, each of which sees only its own
  /// Whether a sequence is padded with zeros, k / 2 in front and (k - 1) / 2 behind, so that it
  /// keeps its length (with stride 1 only). Otherwise the kernel stays within the sequence.
  bool padded = false;
};

/// A convolution along sequences, y[t] = activation(sum_j weight[:, :, j] x[t * stride + j] +
/// bias), that never looks from one sequence into the next. As rows lie one after another, what
/// the kernel sees is one stretch of memory: inference on the CPU is a product whose rows overlap,
/// on weights packed once. A row has the same bits whatever sequences stand beside its own.
/// Training, autocast and other devices run LibTorch's own.
class Conv1d {
 public:
  /// weight [out, in / groups, k] and bias [out] (may be undefined) are handles: changes in place
  /// are seen. With a `gain` [1, 1, k] the weight is normalised (Salimans and Kingma, 2016):
  /// gain * weight / |weight|, the norm taken over all but the last dimension.
  Conv1d(Tensor weight, Tensor bias, Conv1dShape shape = {}, Tensor gain = {})
      : weight_(std::move(weight)), bias_(std::move(bias)), gain_(std::move(gain)), shape_(shape) {}

  /// x [sequences.rows(), in] -> [result(sequences).rows(), out].
  Tensor forward(const Tensor& x, const Sequences& sequences, Context& context,
                 Activation activation = Activation::kIdentity) const;

  /// Where the rows of the result lie; a sequence shorter than the kernel has none.
  Sequences result(const Sequences& sequences) const;
  /// How many rows a sequence of so many becomes.
  int64_t length(int64_t rows) const;

  int64_t macs() const { return weight_.numel(); }  ///< for one row of the result

 private:
  struct Packed;
  Tensor weight() const;
  int64_t side() const { return weight_.size(2); }
  /// One sequence [rows, in] as the kernel goes over it: [groups, padded rows, in / groups].
  Tensor lay_out(const Tensor& rows) const;
  Tensor run(const Tensor& x, const Sequences& sequences, Activation activation,
             Context& context) const;
  Tensor plain(const Tensor& x, const Sequences& sequences, Context& context) const;

  Tensor weight_, bias_, gain_;
  Conv1dShape shape_;
  PreparedFor<Packed> packed_;
};

/// A convolution over sounds, one number a row, each of whose channels is then normed over the
/// whole of its sound (a group norm with a channel a group), and a GELU.
///
/// In inference on the CPU the norm costs no second pass: mean and variance of every channel follow
/// from those of what the kernel sees, k numbers and their products, and are folded into weights
/// and bias. Factors are float32 whatever the context says: the products are so few that bfloat16
/// would save nothing.
class NormedConv1d {
 public:
  /// Handles: weight [out, 1, k] and bias [out] (may be undefined) of the convolution, which the
  /// norm takes off again; weight and bias [out] of the norm.
  NormedConv1d(Tensor weight, Tensor bias, int64_t stride, Tensor norm_weight, Tensor norm_bias,
               double epsilon)
      : weight_(weight),
        norm_weight_(std::move(norm_weight)),
        norm_bias_(std::move(norm_bias)),
        epsilon_(epsilon),
        stride_(stride),
        conv_(std::move(weight), std::move(bias), {.stride = stride}) {}

  /// x [sequences.rows(), 1] -> [result(sequences).rows(), out].
  Tensor forward(const Tensor& x, const Sequences& sequences, Context& context) const;

  Sequences result(const Sequences& sequences) const { return conv_.result(sequences); }
  int64_t macs() const { return conv_.macs(); }

 private:
  Tensor run(const Tensor& x, const Sequences& sequences, Context& context) const;
  Tensor plain(const Tensor& x, const Sequences& sequences, Context& context) const;

  Tensor weight_, norm_weight_, norm_bias_;
  double epsilon_;
  int64_t stride_;
  Conv1d conv_;
};

}  // namespace pace::kernels
