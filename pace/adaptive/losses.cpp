#include "pace/adaptive/losses.h"

#include <cmath>

namespace pace {

Tensor budget_loss(const Ledger& ledger, double dense_macs, double price) {
  return ledger.soft_macs() * (price / dense_macs);
}

Tensor entropy_loss(const Ledger& ledger) {
  Tensor total = at::zeros({});
  for (const Decision& decision : ledger.decisions()) {
    const Tensor counts = ledger.sequences().sum(decision.soft);
    const Tensor histogram = counts / counts.sum(-1, true).clamp_min(1.0);
    const double choices = static_cast<double>(decision.cost.size(0) - decision.minimum);
    if (choices < 2) continue;
    // The small constant keeps the gradient of a ln a finite where a choice is unused.
    const Tensor negative_entropy = (histogram * (histogram + 1e-6).log()).sum(-1).mean();
    total = total.to(negative_entropy.device()) + negative_entropy / std::log(choices);
  }
  const double parts = static_cast<double>(ledger.decisions().size());
  return parts > 0 ? total / parts : total;
}

Tensor diversity_loss(const Ledger& ledger) {
  const int64_t batch = ledger.sequences().count();
  if (batch < 2 || ledger.decisions().empty()) return at::zeros({});
  Tensor used, full;
  for (const Decision& decision : ledger.decisions()) {
    const Tensor cost = decision.cost.to(decision.soft);
    const Tensor work = ledger.sequences().sum(decision.soft.matmul(cost));
    const Tensor most = ledger.sequences().lengths().to(cost.device()) * cost[-1];
    used = used.defined() ? used + work : work;
    full = full.defined() ? full + most : most;
  }
  const Tensor share = used / full.clamp_min(1.0);
  const Tensor gaps = (share.unsqueeze(0) - share.unsqueeze(1)).abs().sum();
  return -gaps / static_cast<double>(batch * (batch - 1));
}

}  // namespace pace
