#pragma once

#include <algorithm>
#include <vector>

#include "pace/eval/report.h"

/// What the maps of pictures, sounds and texts have in common.
namespace pace {

/// Up to `size` examples in random order.
std::vector<int64_t> sample(const Dataset& dataset, int64_t size, uint64_t seed);

/// How many to look at for `count` maps that are spread from the cheapest to the dearest.
inline int64_t candidates(int64_t count) { return std::max<int64_t>(128, 8 * count); }

/// Share of the adaptive work at full width that each token used: float [batch, tokens].
Tensor share_of_work(const Ledger& ledger);

/// `count` of the maps, spread evenly from the cheapest to the dearest.
template <typename Map>
std::vector<Map> spread(std::vector<Map> maps, int64_t count) {
  std::ranges::stable_sort(maps, {}, &Map::macs_fraction);
  const int64_t available = std::ssize(maps);
  if (available <= count) return maps;
  std::vector<Map> chosen;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t place = count == 1 ? available / 2 : i * (available - 1) / (count - 1);
    chosen.push_back(std::move(maps[static_cast<size_t>(place)]));
  }
  return chosen;
}

}  // namespace pace
