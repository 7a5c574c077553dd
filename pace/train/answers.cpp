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

}  // namespace

double Answers::bits() const { return nats / static_cast<double>(asked) / std::numbers::ln2; }

Answers& Answers::operator+=(const Answers& other) {
  right += other.right;
  asked += other.asked;
  nats += other.nats;
  return *this;
}

Answers compare(const Tensor& logits, const Tensor& labels) {
  const Tensor local = labels.to(logits.device());
  return {logits.argmax(-1).eq(local).sum().item<int64_t>(), labels.ge(0).sum().item<int64_t>(),
          cross_entropy(logits, labels, at::Reduction::Sum).item<double>()};
}

Tensor answer_loss(const Tensor& logits, const Batch& batch) {
  if (batch.targets.defined()) {
    return at::cross_entropy_loss(logits, batch.targets.to(logits.device()));
  }
  if (!batch.labels.ge(0).any().item<bool>()) {
    fail("every text of a batch has one token only, so there is no next one to learn");
  }
  return cross_entropy(logits, batch.labels, at::Reduction::Mean);
}

}  // namespace pace
