#pragma once

#include "pace/data/loader.h"

namespace pace {

using at::Tensor;

/// What a model's logits are worth against labels.
struct Answers {
  int64_t right = 0, asked = 0;
  double nats = 0.0;  ///< sum of the cross-entropies

  /// Means for one answer. Throw Error when nothing was asked.
  double accuracy() const;
  double bits() const;
  Answers& operator+=(const Answers& other);
};

/// logits [batch, classes] and labels [batch]; or [batch, longest, vocabulary] and [batch,
/// longest], where negative labels ask for nothing.
Answers compare(const Tensor& logits, const Tensor& labels);

/// Their accuracy alone.
double accuracy(const Tensor& logits, const Tensor& labels);

/// The mean cross-entropy against a batch's soft targets or, where it has none, its labels. Not a
/// number where those ask for nothing.
Tensor answer_loss(const Tensor& logits, const Batch& batch);

/// How far answers are from those wanted, both as logits [..., classes]: the Kullback-Leibler
/// divergence of each, [...].
Tensor divergence(const Tensor& wanted, const Tensor& logits);

}  // namespace pace
