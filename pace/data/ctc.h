#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pace/base/files.h"

namespace pace {

/// The tokens of a speech recogniser, mostly letters, and how frames of them are read as text by
/// connectionist temporal classification (Graves et al., ICML 2006), as transformers'
/// Wav2Vec2CTCTokenizer does it. Safe to use from several threads.
class CtcVocabulary {
 public:
  /// Reads vocab.json, and where it is there from tokenizer_config.json pad_token, unk_token,
  /// word_delimiter_token, replace_word_delimiter_char and do_lower_case. `size` is how many tokens
  /// the model knows. Throws Error naming the file for what is missing or broken, for two tokens
  /// with one id, and for ids outside of 0..size-1.
  static CtcVocabulary open(const fs::path& folder, int64_t size);

  int64_t size() const { return std::ssize(tokens_); }
  int64_t blank() const { return blank_; }  ///< the id of "nothing new", the padding's

  /// The text of the best token of each frame: repeated ones are taken once, blanks left out, and
  /// word delimiters are spaces, of which none are left at the ends. Throws Error for ids outside
  /// of 0..size()-1.
  std::string decode(const std::vector<int64_t>& best) const;
  /// What decode makes of logits, float [frames, size()].
  std::string decode(const at::Tensor& logits) const;

  /// The tokens of what was said, one for each character, in the case that the vocabulary has.
  /// Characters it lacks are its token for the unknown; without one, Error names them.
  std::vector<int64_t> encode(std::string_view transcript) const;
  /// The transcript as decode would write it; characters that the vocabulary lacks stay as they
  /// are, and so count as one each.
  std::string spelled(std::string_view transcript) const;

 private:
  CtcVocabulary() = default;
  const std::string& token(int64_t id) const;
  /// What a token is in a text.
  const std::string& written(int64_t id) const;
  /// Without space at the ends, in the case of texts.
  std::string finished(const std::string& text) const;
  /// The id of a character, or -1.
  int64_t find(char32_t character) const;

  std::string where_;
  std::vector<std::string> tokens_;  ///< by id; that of the unknown where an id has none
  std::map<std::string, int64_t> ids_;
  int64_t blank_ = 0, unknown_ = -1;  ///< -1: the vocabulary has none
  std::string delimiter_, space_;     ///< the token between words, and what it is in a text
  bool lowercase_ = false;            ///< whether texts are in lower case, whatever the tokens are
};

/// How far what was recognised is from what was said: the fewest insertions, deletions and
/// substitutions (Levenshtein) that make one of the other. Those of several texts add up, so that
/// the rates are of a whole test set.
struct Edits {
  int64_t characters = 0, words = 0;                      ///< edits
  int64_t reference_characters = 0, reference_words = 0;  ///< lengths of what was said

  Edits& operator+=(const Edits& other);
  double character_error_rate() const;  ///< may be above 1; 0 of nothing
  double word_error_rate() const;       ///< likewise
};

/// Of UTF-8: characters are code points, words what spaces divide.
Edits edits(std::string_view reference, std::string_view hypothesis);

}  // namespace pace
