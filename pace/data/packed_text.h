#pragma once

#include <memory>
#include <optional>

#include "pace/data/dataset.h"
#include "pace/data/tokenizer.h"

namespace pace {

/// How a stream of tokens is cut into sequences.
struct Packing {
  int64_t length = 0;  ///< tokens of a sequence; the last one may be shorter
  /// How far apart sequences begin, 1 to `length`. Below `length` they overlap: all but the first
  /// are asked only for what those before were not (sliding window), with so much more to look at.
  int64_t stride = 0;
  std::optional<int64_t> separator = {};  ///< put after a document unless it ends with it already
};

/// Documents without classes as sequences of one stream of tokens, document after document, so that
/// none is padded or cut short; each token but the first of all is asked for once. Throws Error
/// when the stream has no second token.
std::shared_ptr<const Dataset> pack(std::shared_ptr<const Dataset> documents,
                                    const Tokenizer& tokenizer, const Packing& packing);

}  // namespace pace
