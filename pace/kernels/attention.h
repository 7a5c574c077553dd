#pragma once

#include <vector>

#include "pace/kernels/context.h"
#include "pace/kernels/sequences.h"

namespace pace::kernels {

using at::Tensor;

/// The heads of an attention, which lie side by side in a row, and what they see.
struct Heads {
  int64_t count = 1;
  int64_t keys = 1;     ///< heads of keys and values, each of which serves count / keys others
  bool causal = false;  ///< whether a token sees only itself and those before it
};

/// Keys and values of one sequence's tokens so far, packed as the kernels of one context read them.
struct KeyValues {
  Tensor keys;    ///< [heads, room / panel, words of a head's width, panel]
  Tensor values;  ///< [heads, panels of a head's width, words of the room, panel]
  int64_t tokens = 0, room = 0;

  /// Bytes of memory, with what is kept free for further tokens.
  int64_t bytes() const {
    return room == 0 ? 0 : static_cast<int64_t>(keys.nbytes() + values.nbytes());
  }
};

/// How many pairs of a query and a key that it sees there are: of `tokens` behind `before` others.
int64_t attended_pairs(int64_t tokens, int64_t before, bool causal);

/// Softmax attention within each sequence. query [rows, count * width], key and value [rows, keys *
/// width] -> as query; scores are divided by sqrt(width).
///
/// With a `memory` of each sequence, it goes on behind the tokens that its memory has, which takes
/// up the new ones: a row has the bits it would have if all were given at once. Memories are for
/// causal heads and for where pace's own kernels run; elsewhere this throws Error.
Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const Heads& heads,
                 const Sequences& sequences, Context& context,
                 std::vector<KeyValues>* memory = nullptr);

}  // namespace pace::kernels
