#pragma once

#include "pace/base/files.h"
#include "pace/io/json.h"

namespace pace {

/// What a tokenizer.json would say, from the files of the time before it, with
/// tokenizer_config.json if it is there. Throws Error when a file is missing or broken, a special
/// token is not in the vocabulary, or the configuration names a class of tokenisers that works
/// otherwise.
json describe_wordpiece_files(const fs::path& folder);  ///< vocab.txt
json describe_bpe_files(const fs::path& folder);        ///< vocab.json and merges.txt

}  // namespace pace
