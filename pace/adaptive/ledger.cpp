#include "pace/adaptive/ledger.h"

#include "pace/base/error.h"

namespace pace {

void Ledger::open(int64_t batch) {
  batch_ = batch;
  fixed_ = 0.0;
  by_example_ = at::zeros({batch}, at::kDouble);
  decisions_.clear();
}

void Ledger::charge(double macs_per_example) { fixed_ += macs_per_example; }

void Ledger::charge(const Tensor& macs) {
  if (macs.dim() != 1 || macs.size(0) != batch_) {
    fail("ledger: a charge by example must have shape [{}]", batch_);
  }
  by_example_ += macs.to(at::kCPU, at::kDouble);
}

void Ledger::record(Decision decision) { decisions_.push_back(std::move(decision)); }

Tensor Ledger::macs() const {
  Tensor total = by_example_ + fixed_;
  for (const Decision& decision : decisions_) {
    const Tensor choice = decision.choice.to(at::kCPU);
    const Tensor cost = decision.cost.index_select(0, choice.clamp_min(0).flatten());
    total += (cost.view(choice.sizes()) * (choice >= 0)).sum(1);
  }
  return total;
}

Tensor Ledger::soft_macs() const {
  Tensor total = (by_example_.sum() / batch_ + fixed_).to(at::kFloat);
  for (const Decision& decision : decisions_) {
    const Tensor& soft = decision.soft;
    total = total.to(soft.device()) + soft.matmul(decision.cost.to(soft)).sum() / batch_;
  }
  return total;
}

}  // namespace pace
