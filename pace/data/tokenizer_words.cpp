#include "pace/data/tokenizer_words.h"

#include <array>

#include "pace/base/error.h"
#include "pace/data/tokenizer_unicode.h"

namespace pace {
namespace {

using Words = std::vector<std::u32string_view>;

/// Runs of equal class are words; those of class 0 are left out, those of class 1 fall into single
/// characters.
template <class Classify>
Words by_class(std::u32string_view text, Classify&& class_of) {
  Words words;
  for (size_t begin = 0; begin < text.size();) {
    const int type = class_of(text[begin]);
    size_t end = begin + 1;
    while (type != 1 && end < text.size() && class_of(text[end]) == type) ++end;
    if (type != 0) words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

enum class Class { kSpace, kLetter, kNumber, kOther };

Class class_of(char32_t point) {
  if (point < 0x80) {
    if ((point | 0x20) - U'a' < 26) return Class::kLetter;
    if (point - U'0' < 10) return Class::kNumber;
    return unicode::is_space(point) ? Class::kSpace : Class::kOther;
  }
  if (unicode::is_letter(point)) return Class::kLetter;
  if (unicode::is_number(point)) return Class::kNumber;
  return unicode::is_space(point) ? Class::kSpace : Class::kOther;
}

/// Length of 's, 't, 're, 've, 'm, 'll or 'd at the beginning, or 0.
size_t contraction(std::u32string_view text) {
  for (const std::u32string_view ending : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
    if (text.starts_with(ending)) return ending.size();
  }
  return 0;
}

/// Length of the white space at the beginning that is a word: a blank that is followed by anything
/// else goes to the next word, and so does not belong to it.
size_t blank_word(std::u32string_view text) {
  size_t end = 1;
  while (end < text.size() && class_of(text[end]) == Class::kSpace) ++end;
  return end == text.size() || end == 1 ? end : end - 1;
}

/// Length of the first match of the pattern of GPT-2 (Radford et al. 2019):
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// It matches at every position of every text.
size_t byte_level_word(std::u32string_view text) {
  if (text[0] == U'\'') {
    if (const size_t length = contraction(text)) return length;
  }
  size_t end = text[0] == U' ' && text.size() > 1 ? 1 : 0;
  const Class type = class_of(text[end]);
  if (type == Class::kSpace) return blank_word(text);
  while (end < text.size() && class_of(text[end]) == type) ++end;
  return end;
}

/// The characters that stand for the 256 bytes: printable ones of Latin-1 for themselves, the
/// others, in order, for those from U+0100 on.
constexpr std::array<char32_t, 256> byte_characters() {
  std::array<char32_t, 256> characters{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
    characters[byte] = printable ? byte : next++;
  }
  return characters;
}

constexpr std::array<char32_t, 256> kCharacters = byte_characters();

/// Replaces the text, and the words that point into it, by its bytes.
void to_bytes(std::u32string& text, Words& words) {
  std::string bytes;
  std::vector<size_t> ends;
  ends.reserve(words.size());
  for (const std::u32string_view word : words) {
    for (const char32_t point : word) unicode::append(point, bytes);
    ends.push_back(bytes.size());
  }
  text.resize(bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    text[i] = kCharacters[static_cast<unsigned char>(bytes[i])];
  }
  const std::u32string_view all = text;
  for (size_t i = 0, begin = 0; i < words.size(); begin = ends[i++]) {
    words[i] = all.substr(begin, ends[i] - begin);
  }
}

Words byte_level(std::u32string& text, bool pattern) {
  Words words;
  for (std::u32string_view rest = text; !rest.empty();) {
    const size_t length = pattern ? byte_level_word(rest) : rest.size();
    words.push_back(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  to_bytes(text, words);
  return words;
}

}  // namespace

WordSplitter::WordSplitter(const json& config, const std::string& where) {
  if (config.is_null()) return;
  const std::string here = where + ": pre_tokenizer";
  const std::string type = string_field(config, "type", here);
  if (type == "BertPreTokenizer") {
    kind_ = Kind::kBert;
  } else if (type == "ByteLevel") {
    kind_ = Kind::kByteLevel;
    prefix_space_ = bool_field(config, "add_prefix_space", here);
    pattern_ = bool_field(config, "use_regex", here, true);
  } else if (type == "Whitespace") {
    kind_ = Kind::kWordsAndSigns;
  } else if (type == "WhitespaceSplit") {
    kind_ = Kind::kSpaces;
  } else {
    fail(
        "{}: type '{}' is not supported; supported are BertPreTokenizer, ByteLevel, Whitespace and "
        "WhitespaceSplit",
        here, type);
  }
}

std::string WordSplitter::original(const std::string& token) const {
  if (kind_ != Kind::kByteLevel) return token.starts_with("##") ? token.substr(2) : " " + token;
  std::string bytes;
  for (const char32_t point : unicode::decode(token)) {
    const auto found = std::find(kCharacters.begin(), kCharacters.end(), point);
    if (found == kCharacters.end()) return token;
    bytes += static_cast<char>(found - kCharacters.begin());
  }
  return bytes;
}

std::vector<std::u32string_view> WordSplitter::operator()(std::u32string& text) const {
  if (text.empty()) return {};
  switch (kind_) {
    case Kind::kBert:
      return by_class(text, [](char32_t point) {
        return unicode::is_space(point) ? 0 : unicode::is_punctuation(point) ? 1 : 2;
      });
    case Kind::kWordsAndSigns:
      return by_class(text, [](char32_t point) {
        return unicode::is_space(point) ? 0 : unicode::is_word(point) ? 2 : 3;
      });
    case Kind::kSpaces:
      return by_class(text, [](char32_t point) { return unicode::is_space(point) ? 0 : 2; });
    case Kind::kByteLevel:
      if (prefix_space_ && text[0] != U' ') text.insert(text.begin(), U' ');
      return byte_level(text, pattern_);
    case Kind::kWhole:
      break;
  }
  return {text};
}

}  // namespace pace
