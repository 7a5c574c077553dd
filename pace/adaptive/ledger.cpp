#include "pace/adaptive/ledger.h"

namespace pace {

void Ledger::open(kernels::Sequences sequences) {
  *this = {};
  sequences_ = std::move(sequences);
  running_ = std::make_shared<const Running>(Running{sequences_, {}});
}

void Ledger::charge(const std::vector<int64_t>& counts, double macs) {
  if (!charged_.defined()) charged_ = at::zeros({sequences_.count()}, at::kDouble);
  double* charged = charged_.mutable_data_ptr<double>();
  for (size_t i = 0; i < counts.size(); ++i) charged[i] += static_cast<double>(counts[i]) * macs;
}

void Ledger::record(Decision decision) {
  decision.running = running_;
  decisions_.push_back(std::move(decision));
}

void Ledger::keep(const Tensor& examples, kernels::Sequences sequences) {
  charged_ = fixed();
  by_example_ = by_token_ = by_pair_ = 0.0;
  running_ = std::make_shared<const Running>(Running{std::move(sequences), examples});
}

void Ledger::add(const Tensor& values, const Running& running, Tensor& total) {
  if (running.examples.defined()) {
    total.index_add_(0, running.examples, values);
  } else {
    total += values;
  }
}

Tensor Ledger::fixed() const {
  Tensor total =
      charged_.defined() ? charged_.clone() : at::zeros({sequences_.count()}, at::kDouble);
  const Tensor lengths = running_->sequences.lengths().to(at::kDouble);
  add(by_example_ + lengths * (by_token_ + lengths * by_pair_), *running_, total);
  return total;
}

Tensor Ledger::macs() const {
  Tensor total = fixed();
  for (const Decision& decision : decisions_) {
    const Tensor cost = decision.cost.index_select(0, decision.choice.to(at::kCPU));
    add(decision.running->sequences.sum(cost), *decision.running, total);
  }
  return total;
}

Tensor Ledger::soft_macs() const {
  const auto batch = static_cast<double>(sequences_.count());
  Tensor total = fixed().mean().to(at::kFloat);
  for (const Decision& decision : decisions_) {
    const Tensor& soft = decision.soft;
    total = total.to(soft.device()) + soft.matmul(decision.cost.to(soft)).sum() / batch;
  }
  return total;
}

}  // namespace pace
