#include "pace/data/ctc.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "pace/base/error.h"
#include "pace/data/tokenizer_unicode.h"
#include "pace/io/json.h"

namespace pace {

namespace {

json read_object(const fs::path& path) {
  json fields = parse_json(read_text(path), path.string());
  if (!fields.is_object()) fail("{}: {} is not an object", path.string(), describe(fields));
  return fields;
}

/// The name of a special token: a string, or an object with its `content`.
std::string token_name(const json& config, const char* field, const std::string& where,
                       const char* fallback) {
  const auto value = config.find(field);
  if (value != config.end() && value->is_object()) {
    return string_field(*value, "content", where + ": " + field);
  }
  return string_field(config, field, where, fallback);
}

/// vocab.json: token -> id, each id once and in [0, size).
std::map<std::string, int64_t> read_ids(const fs::path& path, int64_t size) {
  std::map<std::string, int64_t> ids;
  std::map<int64_t, std::string> tokens;
  const json vocabulary = read_object(path);
  for (const auto& [token, id] : vocabulary.items()) {
    if (!id.is_number_integer()) {
      fail("{}: token '{}' has {} for an id; an integer is needed", path.string(), token,
           describe(id));
    }
    const auto number = id.get<int64_t>();
    if (number < 0 || number >= size) {
      fail("{}: token '{}' has id {}; the model knows 0..{}", path.string(), token, number,
           size - 1);
    }
    const auto [first, added] = tokens.emplace(number, token);
    if (!added) {
      fail("{}: tokens '{}' and '{}' have the same id {}", path.string(), first->second, token,
           number);
    }
    ids[token] = number;
  }
  return ids;
}

std::u32string stripped(const std::u32string& text) {
  const auto is_kept = [](char32_t point) { return !unicode::is_space(point); };
  const auto begin = std::find_if(text.begin(), text.end(), is_kept);
  const auto end = std::find_if(text.rbegin(), text.rend(), is_kept).base();
  return begin < end ? std::u32string(begin, end) : std::u32string();
}

std::vector<std::u32string> words_of(const std::u32string& text) {
  std::vector<std::u32string> words;
  bool within = false;
  for (const char32_t point : text) {
    const bool space = unicode::is_space(point);
    if (!space && !within) words.emplace_back();
    if (!space) words.back().push_back(point);
    within = !space;
  }
  return words;
}

/// The distance, row by row of the table of all beginnings.
template <class Sequence>
int64_t distance(const Sequence& a, const Sequence& b) {
  std::vector<int64_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = static_cast<int64_t>(j);
  for (size_t i = 0; i < a.size(); ++i) {
    int64_t diagonal = row[0];
    row[0] = static_cast<int64_t>(i) + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const int64_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

double rate(int64_t edits, int64_t length) {
  return static_cast<double>(edits) / static_cast<double>(std::max<int64_t>(length, 1));
}

}  // namespace

CtcVocabulary CtcVocabulary::open(const fs::path& folder, int64_t size) {
  CtcVocabulary made;
  const fs::path path = folder / "vocab.json";
  made.where_ = path.string();
  if (!fs::exists(path)) fail("'{}' has no vocab.json to read letters with", folder.string());
  made.ids_ = read_ids(path, size);
  const fs::path config_path = folder / "tokenizer_config.json";
  const std::string where = config_path.string();
  const json config = fs::exists(config_path) ? read_object(config_path) : json::object();
  const auto id_of = [&](const std::string& token) {
    const auto found = made.ids_.find(token);
    return found == made.ids_.end() ? -1 : found->second;
  };
  const std::string blank = token_name(config, "pad_token", where, "<pad>");
  const std::string unknown = token_name(config, "unk_token", where, "<unk>");
  made.blank_ = id_of(blank);
  if (made.blank_ < 0) {
    fail("{}: no token '{}', which is the blank between letters", made.where_, blank);
  }
  made.unknown_ = id_of(unknown);
  made.delimiter_ = token_name(config, "word_delimiter_token", where, "|");
  made.space_ = string_field(config, "replace_word_delimiter_char", where, " ");
  made.lowercase_ = bool_field(config, "do_lower_case", where, false);
  made.tokens_.assign(static_cast<size_t>(size), unknown);
  for (const auto& [token, id] : made.ids_) made.tokens_[static_cast<size_t>(id)] = token;
  return made;
}

std::string CtcVocabulary::decode(const std::vector<int64_t>& best) const {
  std::string text;
  const std::string* last = nullptr;
  for (const int64_t id : best) {
    const std::string& token = this->token(id);
    if (id != blank_ && (!last || *last != token)) text += written(id);
    last = &token;
  }
  return finished(text);
}

std::string CtcVocabulary::spelled(std::string_view transcript) const {
  std::string text;
  for (const char32_t point : unicode::decode(transcript)) {
    const int64_t id = find(point);
    text += id < 0 ? unicode::encode(std::u32string(1, point)) : written(id);
  }
  return finished(text);
}

std::string CtcVocabulary::finished(const std::string& text) const {
  std::u32string points = stripped(unicode::decode(text));
  if (lowercase_) unicode::lowercase(points);
  return unicode::encode(points);
}

const std::string& CtcVocabulary::written(int64_t id) const {
  return token(id) == delimiter_ ? space_ : token(id);
}

const std::string& CtcVocabulary::token(int64_t id) const {
  if (id < 0 || id >= size()) {
    fail("{}: there is no token {}; there are 0..{}", where_, id, size() - 1);
  }
  return tokens_[static_cast<size_t>(id)];
}

std::string CtcVocabulary::decode(const at::Tensor& logits) const {
  const at::Tensor best = logits.argmax(1).to(at::kCPU).contiguous();
  const int64_t* ids = best.const_data_ptr<int64_t>();
  return decode(std::vector<int64_t>(ids, ids + best.numel()));
}

int64_t CtcVocabulary::find(char32_t character) const {
  std::u32string lower(1, character);
  unicode::lowercase(lower);
  for (const std::u32string& form :
       {std::u32string(1, character), std::u32string(1, unicode::upper(character)), lower}) {
    const auto found = ids_.find(unicode::encode(form));
    if (found != ids_.end()) return found->second;
  }
  return -1;
}

std::vector<int64_t> CtcVocabulary::encode(std::string_view transcript) const {
  std::vector<int64_t> ids;
  std::set<std::string> missing;
  const auto delimiter = ids_.find(delimiter_);
  for (const char32_t point : unicode::decode(transcript)) {
    const int64_t id = point == U' ' && delimiter != ids_.end() ? delimiter->second : find(point);
    ids.push_back(id < 0 ? unknown_ : id);
    if (ids.back() < 0) missing.insert(unicode::encode(std::u32string(1, point)));
  }
  if (!missing.empty()) {
    fail("{}: no tokens for '{}', and none for the unknown", where_, fmt::join(missing, "', '"));
  }
  return ids;
}

Edits& Edits::operator+=(const Edits& other) {
  characters += other.characters;
  words += other.words;
  reference_characters += other.reference_characters;
  reference_words += other.reference_words;
  return *this;
}

double Edits::character_error_rate() const { return rate(characters, reference_characters); }

double Edits::word_error_rate() const { return rate(words, reference_words); }

Edits edits(std::string_view reference, std::string_view hypothesis) {
  const std::u32string said = unicode::decode(reference), heard = unicode::decode(hypothesis);
  const std::vector<std::u32string> said_words = words_of(said);
  Edits edits;
  edits.characters = distance(said, heard);
  edits.words = distance(said_words, words_of(heard));
  edits.reference_characters = std::ssize(said);
  edits.reference_words = std::ssize(said_words);
  return edits;
}

}  // namespace pace
