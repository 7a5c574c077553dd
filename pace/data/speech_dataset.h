#pragma once

#include "pace/data/dataset.h"

namespace pace {

/// Sounds with what is said in them, which is the text of each, without classes. `path` is a table
/// or a folder:
///   a TSV with a header line and the columns `file` or `path`, and `text` or `sentence` (as in
///   Common Voice); files are beside the table, or in the folder `clips` there;
///   a folder with files NAME.trans.txt at any depth (as in LibriSpeech), of whose lines the first
///   word is the name of a sound beside, without its .flac or .wav, and the rest what is said.
/// Throws Error naming the line for a sound that is not there, or no text.
std::shared_ptr<const Dataset> open_speech(const std::filesystem::path& path);

}  // namespace pace
