#include "pace/adaptive/ledger.h"

namespace pace {

void Ledger::open(kernels::Sequences sequences) {
  *this = {};
  sequences_ = std::move(sequences);
}

void Ledger::record(Decision decision) { decisions_.push_back(std::move(decision)); }

Tensor Ledger::fixed() const {
  const Tensor lengths = sequences_.lengths().to(at::kDouble);
  return by_example_ + lengths * (by_token_ + lengths * by_pair_);
}

Tensor Ledger::macs() const {
  Tensor total = fixed();
  for (const Decision& decision : decisions_) {
    total += sequences_.sum(decision.cost.index_select(0, decision.choice.to(at::kCPU)));
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
