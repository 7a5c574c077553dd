#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pace/data/tokenizer_model.h"
#include "pace/data/tokenizer_normalizer.h"

namespace pace {

/// A token that is found in the text itself, before it is split into words: [MASK], <s>.
struct AddedToken {
  std::string content;  ///< UTF-8
  int64_t id = 0;
  bool single_word = false;  ///< not within a word
  bool strip_left = false;   ///< takes the white space before it along
  bool strip_right = false;  ///< and after it
  bool normalized = false;   ///< is looked for in the normalised text
};

/// The section `added_tokens` of a tokenizer.json. Throws Error naming `where`, the token and the
/// field when an id is not the vocabulary's, or for a new token not the next one: the `tokenizers`
/// package would give it another id than the file says.
std::vector<AddedToken> read_added_tokens(const json& description, const TokenIds& vocabulary,
                                          const std::string& where);

/// Finds added tokens in texts.
class TokenFinder {
 public:
  /// An added token, or a stretch of text between them.
  struct Piece {
    std::u32string_view text;  ///< empty for a token, and only then
    const AddedToken* token;   ///< null for text
  };

  TokenFinder() = default;
  /// Throws Error naming `where` when two tokens have the same `content`.
  TokenFinder(const std::vector<AddedToken>& tokens, const std::string& where);
  /// The same for tokens whose content is normalised like the text.
  TokenFinder(const std::vector<AddedToken>& tokens, const Normalizer& normalizer,
              const std::string& where);

  /// The pieces of the text in order. Of tokens that begin at the same character the longest is
  /// found.
  std::vector<Piece> operator()(std::u32string_view text) const;

 private:
  struct Pattern {
    std::u32string text;
    AddedToken token;
  };

  void add(std::u32string text, const AddedToken& token, const std::string& where);
  const Pattern* longest_at(std::u32string_view rest) const;

  std::map<char32_t, std::vector<Pattern>> patterns_;  ///< by first character, longest first
};

}  // namespace pace
