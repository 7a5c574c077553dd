#include "pace/adaptive/memory.h"

#include <utility>

namespace pace {

Memory::Memory(int64_t block_count, int64_t sequences)
    : tokens(static_cast<size_t>(sequences)),
      blocks(static_cast<size_t>(block_count),
             std::vector<kernels::KeyValues>(static_cast<size_t>(sequences))) {}

void Memory::keep(const std::vector<int64_t>& sequences) {
  for (size_t to = 0; to < sequences.size(); ++to) {
    const auto from = static_cast<size_t>(sequences[to]);
    if (from == to) continue;
    tokens[to] = tokens[from];
    for (std::vector<kernels::KeyValues>& block : blocks) block[to] = std::move(block[from]);
  }
  tokens.resize(sequences.size());
  for (std::vector<kernels::KeyValues>& block : blocks) block.resize(sequences.size());
}

int64_t Memory::bytes() const {
  int64_t bytes = 0;
  for (const std::vector<kernels::KeyValues>& block : blocks) {
    for (const kernels::KeyValues& sequence : block) bytes += sequence.bytes();
  }
  return bytes;
}

}  // namespace pace
