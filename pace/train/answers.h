#pragma once

#include "pace/data/loader.h"
#include "pace/kernels/sequences.h"

namespace pace {

using at::Tensor;

/// What a model's logits are worth against labels. Of sounds with what is said in them the answers
/// are characters, of which edits that would be needed are not right: accuracy is then 1 less the
/// character error rate.
struct Answers {
  int64_t right = 0, asked = 0;
  double nats = 0.0;  ///< sum of the cross-entropies
  Edits edits = {};   ///< of what is said

  /// Means for one answer. Throw Error when nothing was asked.
  double accuracy() const;
  double bits() const;
  Answers& operator+=(const Answers& other);
};

/// logits [batch, classes] with labels [batch]; [batch, longest, vocabulary] with [batch, longest],
/// where negative labels ask for nothing; or, where the batch has a vocabulary, those of `frames`
/// with characters, which connectionist temporal classification (Graves et al., ICML 2006) aligns.
Answers compare(const Tensor& logits, const Batch& batch, const kernels::Sequences& frames);

/// Their accuracy alone.
double accuracy(const Tensor& logits, const Batch& batch, const kernels::Sequences& frames);

/// The mean cross-entropy against a batch's soft targets or, where it has none, its labels. Not a
/// number where those ask for nothing.
Tensor answer_loss(const Tensor& logits, const Batch& batch, const kernels::Sequences& frames);

/// How far answers are from those wanted, both as logits [..., classes]: the Kullback-Leibler
/// divergence of each, [...].
Tensor divergence(const Tensor& wanted, const Tensor& logits);
/// Its mean over examples, or over the frames of sounds of different lengths.
Tensor mean_divergence(const Tensor& wanted, const Tensor& logits,
                       const kernels::Sequences& frames);

}  // namespace pace
