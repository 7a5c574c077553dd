#include "pace/eval/maps.h"

#include <numeric>

#include "pace/base/error.h"
#include "pace/base/random.h"

namespace pace {

std::vector<int64_t> sample(const Dataset& dataset, int64_t size, uint64_t seed) {
  std::vector<int64_t> indices(dataset.size());
  std::iota(indices.begin(), indices.end(), 0);
  std::mt19937_64 random = random_for({seed, 0x6d617073});
  std::shuffle(indices.begin(), indices.end(), random);
  indices.resize(std::min<int64_t>(size, dataset.size()));
  return indices;
}

Tensor share_of_work(const Ledger& ledger) {
  Tensor used;
  double full = 0.0;
  for (const Decision& decision : ledger.decisions()) {
    const Tensor cost = decision.cost.index_select(0, decision.choice);
    used = used.defined() ? used + cost : cost;
    full += decision.cost[-1].item<double>();
  }
  if (!used.defined()) fail("heat maps need a model with adaptive parts; this one has none");
  return ledger.sequences().pad((used / full).to(at::kFloat));
}

}  // namespace pace
