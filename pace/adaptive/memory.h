#pragma once

#include <cstdint>
#include <vector>

#include "pace/kernels/attention.h"

namespace pace {

/// What the blocks of a decoder remember of the sequences of a batch, so that the next pass can go
/// on behind their tokens. A block remembers the tokens that went through it and no others.
struct Memory {
  std::vector<int64_t> tokens;                          ///< that each sequence has so far
  std::vector<std::vector<kernels::KeyValues>> blocks;  ///< by block, by sequence

  Memory(int64_t block_count, int64_t sequences);
  /// Forgets all sequences but these, whose numbers are in rising order.
  void keep(const std::vector<int64_t>& sequences);
  int64_t bytes() const;  ///< of all keys and values
};

}  // namespace pace
