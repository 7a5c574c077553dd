#include "pace/data/tokenizer_unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <optional>

#include "pace/data/tokenizer_tables.h"

namespace pace::unicode {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

/// The first code point of a text.
struct First {
  char32_t point;
  size_t size;  ///< bytes; where it is broken, those of the longest start of a sequence
  bool valid;
};

/// Table 3-7 of the Unicode standard. `text` must not be empty.
First first_of(std::string_view text) {
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(i < text.size() ? text[i] : 0);
  };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  if (lead < 0xC2 || lead > 0xF4) return {kReplacement, 1, false};
  const size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t point = lead & (0xFF >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if (byte(i) < low || byte(i) > high) return {kReplacement, i, false};
    point = point << 6 | (byte(i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {point, size, true};
}

bool contains(std::span<const Range> ranges, char32_t point) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), point,
                                      [](char32_t p, const Range& r) { return p < r.first; });
  return after != ranges.begin() && point <= std::prev(after)->last;
}

utf8proc_category_t category(char32_t point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(point));
}

bool is_between(utf8proc_category_t value, utf8proc_category_t first, utf8proc_category_t last) {
  return value >= first && value <= last;
}

bool is_ascii(std::u32string_view text) {
  return std::all_of(text.begin(), text.end(), [](char32_t point) { return point < 0x80; });
}

/// Combining class of Unicode 9: where a mark may move to.
int combining_class(char32_t point) {
  if (point < 0x300 || contains(kYoungerThanUnicode9, point)) return 0;
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(point))->combining_class;
}

/// The lower case of a code point beyond ASCII.
char32_t lower(char32_t point) {
  struct Shift {
    char32_t first, last, to;
  };
  // Of Unicode 16 and 17.
  static constexpr Shift kYoung[] = {{0x1C89, 0x1C89, 0x1C8A},    {0xA7CB, 0xA7CB, 0x264},
                                     {0xA7CC, 0xA7CC, 0xA7CD},    {0xA7CE, 0xA7CE, 0xA7CF},
                                     {0xA7D2, 0xA7D2, 0xA7D3},    {0xA7D4, 0xA7D4, 0xA7D5},
                                     {0xA7DA, 0xA7DA, 0xA7DB},    {0xA7DC, 0xA7DC, 0x19B},
                                     {0x10D50, 0x10D65, 0x10D70}, {0x16EA0, 0x16EB8, 0x16EBB}};
  for (const Shift& shift : kYoung) {
    if (point >= shift.first && point <= shift.last) return point - shift.first + shift.to;
  }
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point)));
}

/// Sorts each run of marks by class, equal ones in the order they came.
void order_marks(std::u32string& text) {
  for (auto begin = text.begin(); begin != text.end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, text.end(), [](char32_t p) { return combining_class(p) == 0; });
    std::stable_sort(
        begin, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

/// What the two compose to, or 0. utf8proc composes whole texts only, and by its own classes.
char32_t composition(char32_t first, char32_t second) {
  if (second < 0x300 || contains(kYoungerThanUnicode9, second)) return 0;
  constexpr auto kHow = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  std::array<utf8proc_int32_t, 2> pair = {static_cast<utf8proc_int32_t>(first),
                                          static_cast<utf8proc_int32_t>(second)};
  return utf8proc_normalize_utf32(pair.data(), 2, kHow) == 1 ? static_cast<char32_t>(pair[0]) : 0;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const First first = first_of(text);
    if (!first.valid) return false;
    text.remove_prefix(first.size);
  }
  return true;
}

std::u32string decode(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  while (!text.empty()) {
    const First first = first_of(text);
    points.push_back(first.point);
    text.remove_prefix(first.size);
  }
  return points;
}

void append(char32_t point, std::string& text) {
  if (point < 0x80) return text.push_back(static_cast<char>(point));
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes.data());
  text.append(bytes.begin(), bytes.begin() + size);
}

std::string encode(std::u32string_view points) {
  std::string text;
  text.reserve(points.size());
  for (const char32_t point : points) append(point, text);
  return text;
}

bool is_space(char32_t point) {
  if (point < 0x80) return point == U' ' || (point >= 0x09 && point <= 0x0D);
  return point == 0x85 || point == 0xA0 || point == 0x1680 ||
         (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
         point == 0x202F || point == 0x205F || point == 0x3000;
}

bool is_control(char32_t point) {
  if (point < 0x80) return point < 0x20 || point == 0x7F;
  return contains(kControls, point);
}

bool is_accent(char32_t point) { return point >= 0x300 && contains(kAccents, point); }

bool is_punctuation(char32_t point) {
  if (point < 0x80) {
    return point > 0x20 && point < 0x7F && !(point >= U'0' && point <= U'9') &&
           (point | 0x20) - U'a' >= 26;
  }
  return contains(kPunctuation, point);
}

bool is_mark(char32_t point) {
  if (point < 0x300 || contains(kYoungerThanUnicode9, point)) return false;
  if (point == 0x1CF2 || point == 0x1CF3) return true;  // letters since Unicode 12
  return is_between(category(point), UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME);
}

bool is_ideograph(char32_t point) {
  // The fifth block of the standard begins at U+2B820; the package has U+2B920, and so have we.
  static constexpr Range kBlocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                      {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
                                      {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return point >= 0x3400 && contains(kBlocks, point);
}

bool is_letter(char32_t point) {
  return is_between(category(point), UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO) ||
         contains(kYoungLetters, point);
}

bool is_number(char32_t point) {
  return is_between(category(point), UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO) ||
         contains(kYoungNumbers, point);
}

bool is_word(char32_t point) {
  // Alphabetic without being letters: circled and squared ones.
  static constexpr Range kAlphabetic[] = {
      {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
  const utf8proc_category_t kind = category(point);
  return is_between(kind, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) ||
         kind == UTF8PROC_CATEGORY_PC || point == 0x200C || point == 0x200D ||
         contains(kAlphabetic, point) || contains(kYoungLetters, point) ||
         contains(kYoungNumbers, point) || contains(kYoungMarks, point);
}

void decompose(std::u32string& text) {
  if (is_ascii(text)) return;
  constexpr auto kHow = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
  std::u32string parts;
  parts.reserve(text.size() * 2);
  for (const char32_t point : text) {
    if (point < 0xC0 || contains(kYoungerThanUnicode9, point)) {
      parts.push_back(point);
      continue;
    }
    std::array<utf8proc_int32_t, 8> buffer;
    int boundary = 0;
    const auto size = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point), buffer.data(),
                                              buffer.size(), kHow, &boundary);
    parts.append(buffer.begin(), buffer.begin() + size);
  }
  order_marks(parts);
  text.swap(parts);
}

void compose(std::u32string& text) {
  if (is_ascii(text)) return;
  decompose(text);
  std::u32string composed;
  composed.reserve(text.size());
  std::optional<size_t> starter;  // where the last one without a class stands
  int last_class = 0;             // of the mark behind it that did not compose, 0: there is none
  for (const char32_t point : text) {
    const int mark_class = combining_class(point);
    if (starter && (last_class == 0 || last_class < mark_class)) {
      if (const char32_t both = composition(composed[*starter], point)) {
        composed[*starter] = both;
        continue;
      }
    }
    if (mark_class == 0) starter = composed.size();
    last_class = mark_class;
    composed.push_back(point);
  }
  text.swap(composed);
}

char32_t upper(char32_t point) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(point)));
}

void lowercase(std::u32string& text) {
  size_t dotted = 0;
  for (char32_t& point : text) {
    if (point < 0x80) {
      if (point - U'A' < 26) point |= 0x20;
    } else if (point == 0x130) {
      ++dotted;
    } else {
      point = lower(point);
    }
  }
  if (dotted == 0) return;
  // The only one whose lower case is two.
  std::u32string longer;
  longer.reserve(text.size() + dotted);
  for (const char32_t point : text) {
    if (point == 0x130) {
      longer.append(U"i\u0307");
    } else {
      longer.push_back(point);
    }
  }
  text.swap(longer);
}

}  // namespace pace::unicode
