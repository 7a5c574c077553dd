#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pace/base/progress.h"
#include "pace/io/audio.h"
#include "pace/io/image.h"

namespace pace {

/// One text, or a pair.
struct Text {
  std::string first;
  std::optional<std::string> second = {};
};

/// A stretch of a stream of tokens.
struct TokenSequence {
  std::vector<int64_t> tokens;
  std::vector<int64_t> labels;  ///< of each token the next one, or -1 where it is not asked for
};

/// Labelled pictures or texts, or texts without labels, by index. Safe to read from several
/// threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Throws Error naming the picture when it cannot be read, or when this holds texts.
  virtual Image image(int64_t index) const;
  /// Throws Error when this holds pictures.
  virtual Text text(int64_t index) const;
  /// Throws Error naming the file when it cannot be read, or when this holds no sounds.
  virtual Audio audio(int64_t index) const;
  /// Throws Error unless this holds packed texts.
  virtual TokenSequence sequence(int64_t index) const;
  virtual int64_t label(int64_t index) const = 0;  ///< 0 where there are no classes
  /// What to call the example in messages and reports: a path, or "name #index".
  virtual std::string name(int64_t index) const = 0;
  /// Names of the classes, in label order; none for texts that language models learn.
  virtual const std::vector<std::string>& classes() const = 0;
};

/// Opens `kind:path`:
///   images:DIR   a folder per class (sorted by name) of JPEG and PNG files, at any depth below it
///   idx:PREFIX   PREFIX-images-idx3-ubyte[.gz] and PREFIX-labels-idx1-ubyte[.gz]
///   audio:DIR    a folder per class (sorted by name) of WAV and FLAC files, at any depth below it
///   speech:PATH  sounds with what is said in them, without classes, as open_speech takes them
///   tsv:FILE     a header line, then a line per text: fields between tabs, taken as they are
///   csv:FILE     the same between commas, where a field may stand in double quotes
///   text:FILE    plain text without classes: one document
///   jsonl:FILE   documents without classes: on each line an object with the field `text`
/// Of a tsv or csv the column `label` holds the class, the one or two other columns (`id`, `idx`
/// and `index` left aside) the text or the pair of texts. Throws UsageError for an unknown kind,
/// Error for an empty or unreadable set, or one with a single class.
std::shared_ptr<const Dataset> open_dataset(const std::string& spec);

/// A part of a dataset, by indices.
std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> dataset,
                                      std::vector<int64_t> indices);

/// Splits at random but reproducibly into `held_out` examples and the rest, with the classes in the
/// proportions of the whole. Returns {rest, held out}.
std::pair<std::shared_ptr<const Dataset>, std::shared_ptr<const Dataset>> split(
    std::shared_ptr<const Dataset> dataset, int64_t held_out, uint64_t seed);

/// Reads every picture; throws one Error that names and counts all that are broken. Slow: called
/// after a first picture failed, so that the user hears of all at once.
[[noreturn]] void report_broken(const Dataset& dataset, int threads, Reporter& reporter);

}  // namespace pace
