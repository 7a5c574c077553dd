#pragma once

#include <map>

#include "pace/data/loader.h"
#include "pace/train/teacher.h"

namespace pace {

/// Tensors by parameter name.
using TensorMap = std::map<std::string, Tensor>;

enum class InitKind {
  kOrdered,  ///< from the dense weights, most important parts first
  kRandom,   ///< fresh learners, as in the paper
};

/// Initial tensors of every module that `acm` puts into the dense model, by parameter name.
///
/// Ordered: learners of an MLP take its hidden units in the order of var(activation) * |output
/// column|^2 over `examples` examples, and each unit left out counts as its mean, so k = N is the
/// dense MLP itself. Learners of a projection take the principal directions of its output, largest
/// first: hidden unit i is GELU(a_i / s_i + c) with a_i the coordinate along direction i, s_i its
/// deviation and c so large that GELU is nearly the identity there. All are centred at their means.
/// The first layer of every gate sees its input standardised.
TensorMap initial_weights(const Teacher& teacher, const AcmConfig& acm, InitKind kind,
                          Loader& loader, int64_t examples, uint64_t seed);

}  // namespace pace
