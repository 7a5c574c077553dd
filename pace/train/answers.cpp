#include "pace/train/answers.h"

#include <ATen/core/Reduction.h>

#include <numbers>

#include "pace/base/error.h"

namespace pace {

namespace {

constexpr int64_t kNothing = -1;  ///< the label that asks for nothing

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, at::Reduction::Reduction how) {
  return at::cross_entropy_loss(logits.flatten(0, -2), labels.flatten().to(logits.device()), {},
                                how, kNothing);
}

double mean(double sum, int64_t answers) {
  if (answers == 0)
    fail(
        "there is nothing to answer: no text has a second token, and in no sound is anything said");
  return sum / static_cast<double>(answers);
}

/// Sum of the CTC losses of all sounds; one too short for its characters counts as nothing.
Tensor ctc_loss(const Tensor& logits, const Batch& batch, const kernels::Sequences& frames) {
  const Tensor lengths = batch.labels.ge(0).sum(1);
  const Tensor by_frame = at::log_softmax(logits, -1).transpose(0, 1);
  return at::ctc_loss(by_frame, batch.labels.clamp_min(0).to(logits.device()),
                      frames.lengths().to(at::kLong), lengths, batch.vocabulary->blank(),
                      at::Reduction::Sum, /*zero_infinity=*/true);
}

Answers count_characters(const Tensor& logits, const Batch& batch,
                         const kernels::Sequences& frames) {
  Answers answers;
  for (int64_t i = 0; i < logits.size(0); ++i) {
    const Tensor own = logits[i].narrow(0, 0, frames.length(i));
    answers.edits += edits(batch.said[static_cast<size_t>(i)], batch.vocabulary->decode(own));
  }
  answers.asked = answers.edits.reference_characters;
  answers.right = answers.asked - answers.edits.characters;
  return answers;
}

/// Without their cross-entropies.
Answers count(const Tensor& logits, const Batch& batch, const kernels::Sequences& frames) {
  if (batch.vocabulary) return count_characters(logits, batch, frames);
  const Tensor local = batch.labels.to(logits.device());
  Answers answers;
  answers.right = logits.argmax(-1).eq(local).sum().item<int64_t>();
  answers.asked = batch.labels.ge(0).sum().item<int64_t>();
  return answers;
}

}  // namespace

double Answers::accuracy() const { return mean(static_cast<double>(right), asked); }

double Answers::bits() const { return mean(nats, asked) / std::numbers::ln2; }

Answers& Answers::operator+=(const Answers& other) {
  right += other.right;
  asked += other.asked;
  nats += other.nats;
  edits += other.edits;
  return *this;
}

Answers compare(const Tensor& logits, const Batch& batch, const kernels::Sequences& frames) {
  Answers answers = count(logits, batch, frames);
  const Tensor nats = batch.vocabulary ? ctc_loss(logits, batch, frames)
                                       : cross_entropy(logits, batch.labels, at::Reduction::Sum);
  answers.nats = nats.item<double>();
  return answers;
}

double accuracy(const Tensor& logits, const Batch& batch, const kernels::Sequences& frames) {
  return count(logits, batch, frames).accuracy();
}

Tensor answer_loss(const Tensor& logits, const Batch& batch, const kernels::Sequences& frames) {
  if (batch.vocabulary) return ctc_loss(logits, batch, frames) / batch.labels.ge(0).sum();
  if (batch.targets.defined()) {
    return at::cross_entropy_loss(logits, batch.targets.to(logits.device()));
  }
  return cross_entropy(logits, batch.labels, at::Reduction::Mean);
}

Tensor divergence(const Tensor& wanted, const Tensor& logits) {
  const Tensor probabilities = at::softmax(wanted.to(at::kFloat), -1);
  return (at::xlogy(probabilities, probabilities) - probabilities * at::log_softmax(logits, -1))
      .sum(-1);
}

Tensor mean_divergence(const Tensor& wanted, const Tensor& logits,
                       const kernels::Sequences& frames) {
  const Tensor each = divergence(wanted, logits);
  return each.dim() > 1 ? frames.unpad(each).mean() : each.mean();
}

}  // namespace pace
