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
  if (answers == 0) fail("there is nothing to answer: no text has a second token to foretell");
  return sum / static_cast<double>(answers);
}

/// Without their cross-entropies.
Answers count(const Tensor& logits, const Tensor& labels) {
  const Tensor local = labels.to(logits.device());
  return {logits.argmax(-1).eq(local).sum().item<int64_t>(), labels.ge(0).sum().item<int64_t>(),
          0.0};
}

}  // namespace

double Answers::accuracy() const { return mean(static_cast<double>(right), asked); }

double Answers::bits() const { return mean(nats, asked) / std::numbers::ln2; }

Answers& Answers::operator+=(const Answers& other) {
  right += other.right;
  asked += other.asked;
  nats += other.nats;
  return *this;
}

Answers compare(const Tensor& logits, const Tensor& labels) {
  Answers answers = count(logits, labels);
  answers.nats = cross_entropy(logits, labels, at::Reduction::Sum).item<double>();
  return answers;
}

double accuracy(const Tensor& logits, const Tensor& labels) {
  return count(logits, labels).accuracy();
}

Tensor answer_loss(const Tensor& logits, const Batch& batch) {
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

}  // namespace pace
