#pragma once

#include <vector>

#include "pace/adaptive/acm.h"

namespace pace {

/// Weight of each k = 0..N in the loss of Phase 1, summing to 1: `full_share` on k = N, the rest
/// spread evenly over minimum..N-1. The dense map sits at k = N when training begins, and a plain
/// mean over all k would pull it away from there.
std::vector<double> phase1_weights(const AcmShape& shape, double full_share);

/// Phase 1 of ACM (arXiv 2312.10193, section 3.2): the loss sum_k w_k mean |h(z, k) - o|^2 of one
/// module, divided by the variance of o, and its gradients, accumulated into the module's
/// parameters.
///
/// With the residual e_k = h_k - o, the gradient into learner n is the tail sum of w_k e_k over k
/// >= n, and h_{k-1} = h_k - s_k walks back from h_N: no tensor of all partial sums [tokens, N,
/// dim] is ever held. input [tokens, in], target [tokens, out]; returns the loss.
double learner_loss(const Acm& acm, const Tensor& input, const Tensor& target,
                    const std::vector<double>& weights);

/// |h(z, k) - o|^2 for k = 0..N without gradients: float [tokens, N+1].
Tensor choice_errors(const Acm& acm, const Tensor& input, const Tensor& target);

/// Labels of Phase 2 by the paper's rule: the least n >= 2 with d(n) / d(n-1) >= tau, N if there is
/// none; d(n) the root of `errors` [tokens, N+1]. Never below `minimum`. int64 [tokens].
Tensor ratio_labels(const Tensor& errors, double tau, int64_t minimum);

/// Labels of Phase 2 by price: argmin_k error_k / error_minimum + price * k/N, with the one price
/// at which the mean k/N over the tokens is `share`. Tells the gate what a budget should buy. int64
/// [tokens].
Tensor price_labels(const Tensor& errors, double share, int64_t minimum);

}  // namespace pace
