#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pace/base/files.h"
#include "pace/io/json.h"

namespace pace {

/// A text, or a pair of texts, as a model takes it.
struct Encoding {
  std::vector<int64_t> ids;    ///< [tokens], of the vocabulary, special tokens included
  std::vector<int64_t> types;  ///< [tokens], the token types of BERT: mostly which of the two texts
};

/// Texts to token ids, as the `tokenizers` package (0.23) and so transformers do it, for the
/// tokenisers of BERT, RoBERTa, GPT-2 and their kin. Works in the calling thread only, and may be
/// used from several; copies share what they know.
///
/// The ids are those of the package for all of Unicode 16. Where its parts know older versions (for
/// accents and punctuation 8, for decomposition 9), so does this. Once utf8proc knows a version
/// later than 16, text with code points younger than that may get other ids.
class Tokenizer {
 public:
  /// Reads the first of these that the folder has:
  ///   tokenizer.json             the format of the `tokenizers` package
  ///   vocab.txt                  WordPiece of BERT; do_lower_case, strip_accents,
  ///                              tokenize_chinese_chars and the names of the special tokens from
  ///                              tokenizer_config.json, if it is there
  ///   vocab.json and merges.txt  byte-level BPE: RoBERTa with <s> and </s> in the vocabulary,
  ///                              GPT-2 without; add_prefix_space from tokenizer_config.json
  ///   vocab.json with `pieces`   SentencePiece's BPE as in Llama: each with id, piece, score and
  ///                              type (normal, byte, control, unknown), a blank before the text
  /// Throws Error when there is none, or it is broken, or it asks for what is not supported: the
  /// message has the file, the field, its value and what is supported.
  static Tokenizer open(const fs::path& folder);

  /// From the contents of a tokenizer.json; `where` names it in messages. Throws Error like open().
  /// The sections `truncation`, `padding` and `decoder` are of no account.
  Tokenizer(const json& description, const std::string& where);

  /// Never more than `most_tokens` ids: what is too much is cut off at the end of the text, before
  /// the special tokens are added. What is not UTF-8 is read as U+FFFD, as Python's
  /// errors="replace" does. Throws Error when `most_tokens` does not hold the special tokens.
  Encoding encode(std::string_view text, int64_t most_tokens) const;

  /// A pair. What is too much is taken from the longer text until both are equally long, then from
  /// both (`longest_first`).
  Encoding encode(std::string_view first, std::string_view second, int64_t most_tokens) const;

  /// What a token is in a text: its bytes, at byte level and in Llama's vocabularies, which need
  /// not be whole characters; otherwise with a blank before it unless it goes on with a word
  /// (WordPiece's ##). Empty for an id without a token.
  std::string token(int64_t id) const;

  /// One more than the largest id: what the model's embedding must have rows for.
  int64_t vocabulary_size() const;

 private:
  struct Parts;
  std::shared_ptr<const Parts> parts_;
};

/// Whether the text is UTF-8 throughout. encode() does not need that; a caller who knows which line
/// of which file the text is from can say so where it is not.
bool is_utf8(std::string_view text);

}  // namespace pace
