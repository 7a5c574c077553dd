#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>

namespace pace {

/// A generator that depends only on `key` (seed, epoch, index, ...): what is drawn for an example
/// does not depend on the order or the thread in which examples are prepared, so a resumed run
/// draws the same.
std::mt19937_64 random_for(std::initializer_list<uint64_t> key);

}  // namespace pace
