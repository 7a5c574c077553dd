#pragma once

#include <string>
#include <string_view>

/// Characters as the Rust crates below the `tokenizers` package see them. They know different
/// versions of Unicode, and the ids depend on it.
namespace pace::unicode {

bool is_utf8(std::string_view text);
/// The code points of UTF-8. Where it is broken, each longest start of a sequence becomes one
/// U+FFFD, as Python's errors="replace" does.
std::u32string decode(std::string_view text);
/// Appends the code point as UTF-8.
void append(char32_t point, std::string& text);
std::string encode(std::u32string_view points);

bool is_space(char32_t point);        ///< property White_Space
bool is_control(char32_t point);      ///< Cc, Cf or Co of Unicode 8
bool is_accent(char32_t point);       ///< Mn of Unicode 8
bool is_punctuation(char32_t point);  ///< ASCII punctuation, or P of Unicode 8
bool is_mark(char32_t point);         ///< M of Unicode 9
bool is_ideograph(char32_t point);    ///< the blocks around which BERT puts spaces
bool is_letter(char32_t point);       ///< L of Unicode 16
bool is_number(char32_t point);       ///< N of Unicode 16
bool is_word(char32_t point);         ///< \w of a regular expression

void decompose(std::u32string& text);  ///< NFD of Unicode 9
void compose(std::u32string& text);    ///< NFC of Unicode 9
void lowercase(std::u32string& text);  ///< each code point by itself: no final sigma
char32_t upper(char32_t point);        ///< itself where that would be several

}  // namespace pace::unicode
