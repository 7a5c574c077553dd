#include "pace/data/tokenizer_added.h"

#include <algorithm>
#include <set>

#include "pace/base/error.h"
#include "pace/data/tokenizer_unicode.h"

namespace pace {
namespace {

AddedToken read_added_token(const json& config, const std::string& where) {
  AddedToken token;
  token.content = string_field(config, "content", where);
  if (token.content.empty()) fail("{}: content is empty; a token has characters", where);
  token.id = integer_field(config, "id", where);
  token.single_word = bool_field(config, "single_word", where);
  token.strip_left = bool_field(config, "lstrip", where);
  token.strip_right = bool_field(config, "rstrip", where);
  token.normalized = bool_field(config, "normalized", where);
  return token;
}

size_t blanks_at_end(std::u32string_view text) {
  size_t count = 0;
  while (count < text.size() && unicode::is_space(text[text.size() - 1 - count])) ++count;
  return count;
}

size_t blanks_at_begin(std::u32string_view text) {
  size_t count = 0;
  while (count < text.size() && unicode::is_space(text[count])) ++count;
  return count;
}

bool is_within_word(std::u32string_view before, std::u32string_view after) {
  return (!before.empty() && unicode::is_word(before.back())) ||
         (!after.empty() && unicode::is_word(after.front()));
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const json& description, const TokenIds& vocabulary,
                                          const std::string& where) {
  const auto field = description.find("added_tokens");
  if (field == description.end() || field->is_null()) return {};
  if (!field->is_array())
    fail("{}: field 'added_tokens' is {}; an array is needed", where, describe(*field));
  std::vector<AddedToken> tokens;
  std::set<std::string> seen;
  auto next = static_cast<int64_t>(vocabulary.size());
  for (size_t i = 0; i < field->size(); ++i) {
    const std::string here = fmt::format("{}: added_tokens[{}]", where, i);
    const AddedToken token = read_added_token((*field)[i], here);
    if (!seen.insert(token.content).second)
      fail("{}: token '{}' is given twice; once is right", here, token.content);
    const auto known = vocabulary.find(token.content);
    const int64_t id = known == vocabulary.end() ? next++ : known->second;
    if (token.id != id) {
      fail(
          "{}: token '{}' has the id {}; it must be {}, {}", here, token.content, token.id, id,
          known == vocabulary.end() ? "the next one after the vocabulary" : "as in the vocabulary");
    }
    tokens.push_back(token);
  }
  return tokens;
}

TokenFinder::TokenFinder(const std::vector<AddedToken>& tokens, const std::string& where) {
  for (const AddedToken& token : tokens) add(unicode::decode(token.content), token, where);
}

TokenFinder::TokenFinder(const std::vector<AddedToken>& tokens, const Normalizer& normalizer,
                         const std::string& where) {
  for (const AddedToken& token : tokens) {
    std::u32string text = unicode::decode(token.content);
    normalizer(text);
    if (text.empty())
      fail("{}: added_tokens: nothing is left of '{}' when it is normalised", where, token.content);
    add(std::move(text), token, where);
  }
}

void TokenFinder::add(std::u32string text, const AddedToken& token, const std::string& where) {
  std::vector<Pattern>& patterns = patterns_[text.front()];
  auto place = patterns.begin();
  for (; place != patterns.end() && place->text.size() >= text.size(); ++place) {
    if (place->text == text) {
      fail("{}: added_tokens: '{}' and '{}' are the same when they are normalised", where,
           place->token.content, token.content);
    }
  }
  patterns.insert(place, {std::move(text), token});
}

const TokenFinder::Pattern* TokenFinder::longest_at(std::u32string_view rest) const {
  const auto found = patterns_.find(rest.front());
  if (found == patterns_.end()) return nullptr;
  for (const Pattern& pattern : found->second) {
    if (rest.starts_with(pattern.text)) return &pattern;
  }
  return nullptr;
}

std::vector<TokenFinder::Piece> TokenFinder::operator()(std::u32string_view text) const {
  std::vector<Piece> pieces;
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !patterns_.empty();) {
    const Pattern* pattern = longest_at(text.substr(at));
    if (!pattern) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + pattern->text.size();
    at = end;
    const AddedToken& token = pattern->token;
    if (token.single_word && is_within_word(text.substr(0, begin), text.substr(end))) continue;
    if (token.strip_left) begin = std::max(begin - blanks_at_end(text.substr(0, begin)), done);
    if (token.strip_right) end += blanks_at_begin(text.substr(end));
    if (done < begin) pieces.push_back({text.substr(done, begin - done), nullptr});
    pieces.push_back({{}, &token});
    done = end;
  }
  if (done < text.size()) pieces.push_back({text.substr(done), nullptr});
  return pieces;
}

}  // namespace pace
