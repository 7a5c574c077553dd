#pragma once

#include "pace/adaptive/ledger.h"

namespace pace {

/// price * mean MACs / dense MACs, the budget loss L_b of ACM, cost-weighted over all parts.
/// Scalar. With a price that rises while a budget is overspent, the weighted loss is the Lagrangian
/// of the task under that budget: every part gives up what is worth least per MAC. The paper's
/// |share - budget| pushes with the same force at every budget, which low ones need more of.
Tensor budget_loss(const Ledger& ledger, double dense_macs, double price);

/// L_e of ACM: mean over (example, part) of sum_n a_n ln a_n / ln(choices), a the histogram of
/// choices over the example's tokens; in [-1, 0], least when choices within an example are spread.
/// Scalar.
Tensor entropy_loss(const Ledger& ledger);

/// L_d of ACM: minus the mean over pairs of examples of |b_i - b_j|, b the share of adaptive work
/// an example uses; least when examples differ. Scalar; 0 for a batch of one.
Tensor diversity_loss(const Ledger& ledger);

}  // namespace pace
