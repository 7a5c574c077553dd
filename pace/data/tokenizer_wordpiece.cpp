#include <algorithm>

#include "pace/base/error.h"
#include "pace/data/tokenizer_model.h"
#include "pace/data/tokenizer_unicode.h"

namespace pace {
namespace {

/// Takes the longest token of the vocabulary that the rest of the word begins with, again and again
/// (Devlin et al. 2019; Wu et al. 2016). A word of which a part is in no token becomes the unknown
/// token as a whole.
class WordPiece : public SubwordModel {
 public:
  WordPiece(const TokenIds& vocabulary, std::string_view prefix, int64_t unknown, size_t most)
      : unknown_(unknown), most_characters_(most) {
    for (const auto& [token, id] : vocabulary) {
      begins_.emplace(token, id);
      longest_ = std::max(longest_, token.size());
      if (token.starts_with(prefix)) continues_.emplace(token.substr(prefix.size()), id);
    }
  }

  void append(std::u32string_view word, std::vector<int64_t>& ids) const override {
    if (word.size() > most_characters_) return ids.push_back(unknown_);
    const std::string text = unicode::encode(word);
    const size_t first = ids.size();
    for (size_t begin = 0; begin < text.size();) {
      const auto [id, size] = longest(std::string_view(text).substr(begin), begin == 0);
      if (size == 0) {
        ids.resize(first);
        return ids.push_back(unknown_);
      }
      ids.push_back(id);
      begin += size;
    }
  }

 private:
  struct Match {
    int64_t id = 0;
    size_t size = 0;  ///< bytes; 0 when there is none
  };

  Match longest(std::string_view text, bool begins) const {
    const TokenIds& tokens = begins ? begins_ : continues_;
    for (size_t size = std::min(text.size(), longest_); size > 0; --size) {
      // No token ends within a character.
      if (size < text.size() && (text[size] & 0xC0) == 0x80) continue;
      const auto found = tokens.find(text.substr(0, size));
      if (found != tokens.end()) return {found->second, size};
    }
    return {};
  }

  TokenIds begins_;
  TokenIds continues_;  ///< without the prefix
  size_t longest_ = 0;  ///< bytes
  int64_t unknown_;
  size_t most_characters_;
};

}  // namespace

std::unique_ptr<const SubwordModel> read_wordpiece(const json& model, const TokenIds& vocabulary,
                                                   const std::string& where) {
  const std::string unknown = string_field(model, "unk_token", where);
  const auto found = vocabulary.find(unknown);
  if (found == vocabulary.end())
    fail("{}: unk_token '{}' is not in the vocabulary; it must be", where, unknown);
  const int64_t most = integer_field(model, "max_input_chars_per_word", where);
  if (most < 0) fail("{}: max_input_chars_per_word is {}; it must not be negative", where, most);
  return std::make_unique<WordPiece>(vocabulary,
                                     string_field(model, "continuing_subword_prefix", where),
                                     found->second, static_cast<size_t>(most));
}

}  // namespace pace
