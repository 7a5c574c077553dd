#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pace/io/json.h"

namespace pace {

/// Splits a normalised text into the words that the model then breaks up one by one.
class WordSplitter {
 public:
  /// From the section `pre_tokenizer` of a tokenizer.json; with null the text is one word. Throws
  /// Error naming `where` and the field for what is not supported.
  WordSplitter(const json& config, const std::string& where);

  /// The words of `text`, none of them empty. They point into `text`, which byte-level splitting
  /// first replaces by its bytes, each written as the character that stands for it.
  std::vector<std::u32string_view> operator()(std::u32string& text) const;

  bool leaves_whole() const { return kind_ == Kind::kWhole; }  ///< a text is one word

  /// A token of such words as it was in the text: at byte level the bytes, unless a character of it
  /// stands for none; otherwise after a blank, or without the ## of one that goes on with a word.
  std::string original(const std::string& token) const;

 private:
  enum class Kind { kWhole, kBert, kByteLevel, kWordsAndSigns, kSpaces };

  Kind kind_ = Kind::kWhole;
  bool prefix_space_ = false;  ///< byte level: a text that does not begin with a blank gets one
  bool pattern_ = true;        ///< byte level: split, by the pattern of GPT-2
};

}  // namespace pace
