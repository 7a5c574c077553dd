#include "pace/base/random.h"

namespace pace {
namespace {

/// The finaliser of splitmix64: neighbouring inputs (epoch 1 and 2, index 7 and 8) give unrelated
/// outputs.
uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

}  // namespace

std::mt19937_64 random_for(std::initializer_list<uint64_t> key) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  // The length takes part so that {1} and {1, 0} differ; multiplying the state keeps the order of
  // the parts.
  uint64_t state = mix(key.size() + kGolden);
  for (uint64_t part : key) state = mix(state * kGolden + mix(part + kGolden));
  return std::mt19937_64(state);
}

}  // namespace pace
