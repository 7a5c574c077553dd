#include "pace/data/tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "pace/base/error.h"
#include "pace/data/tokenizer_added.h"
#include "pace/data/tokenizer_files.h"
#include "pace/data/tokenizer_model.h"
#include "pace/data/tokenizer_normalizer.h"
#include "pace/data/tokenizer_template.h"
#include "pace/data/tokenizer_unicode.h"
#include "pace/data/tokenizer_words.h"

namespace pace {
namespace {

json section(const json& description, const char* name) {
  const auto found = description.find(name);
  return found == description.end() ? json() : *found;
}

/// How many tokens of two texts to keep so that they have no more than `room` together.
std::array<size_t, 2> longest_first(size_t first, size_t second, size_t room) {
  if (first + second <= room) return {first, second};
  const size_t shorter = std::min(first, second);
  if (2 * shorter <= room)
    return first <= second ? std::array{first, room - first} : std::array{room - second, second};
  // The odd token goes to the longer text, of equal ones to the second.
  const size_t less = room / 2, more = room - less;
  return first <= second ? std::array{less, more} : std::array{more, less};
}

size_t room_for_text(const TextTemplate& around, int64_t most_tokens) {
  if (most_tokens < around.added()) {
    fail("at most {} tokens are asked for; the special tokens alone are {}", most_tokens,
         around.added());
  }
  return static_cast<size_t>(most_tokens - around.added());
}

Encoding fill(const TextTemplate& around, const std::array<std::vector<int64_t>, 2>& texts) {
  Encoding encoding;
  encoding.ids.reserve(texts[0].size() + texts[1].size() + around.added());
  for (const TextTemplate::Part& part : around.parts) {
    const std::vector<int64_t>& ids = part.text < 0 ? part.ids : texts[part.text];
    encoding.ids.insert(encoding.ids.end(), ids.begin(), ids.end());
    encoding.types.resize(encoding.ids.size(), part.type);
  }
  return encoding;
}

}  // namespace

struct Tokenizer::Parts {
  Parts(const json& description, const std::string& where);

  /// The ids of one text, without those around it.
  std::vector<int64_t> ids(std::string_view text) const;

  std::unique_ptr<const SubwordModel> model;
  Normalizer normalizer;
  WordSplitter splitter;
  TokenFinder plain, normalized;  ///< added tokens, by the text in which they are looked for
  TextTemplates templates;
  int64_t vocabulary_size = 0;
  std::unordered_map<int64_t, std::string> tokens;  ///< of the vocabulary, by id
  std::unordered_set<int64_t> added_ids;
  bool blanks_inside = false;  ///< whether tokens have their blanks in them, as SentencePiece's do
  bool bytes = false;          ///< whether tokens like <0x0A> stand for bytes

  std::string text_of(const std::string& token) const;

 private:
  void append_normalized(std::u32string_view text, std::vector<int64_t>& ids) const;
};

Tokenizer::Parts::Parts(const json& description, const std::string& where)
    : normalizer(section(description, "normalizer"), where),
      splitter(section(description, "pre_tokenizer"), where) {
  const std::string version = string_field(description, "version", where, "1.0");
  if (version != "1.0") fail("{}: version '{}' is not supported; supported is 1.0", where, version);
  const json& fields = section(description, "model");
  TokenIds vocabulary = read_vocabulary(fields, where + ": model");
  model = read_model(fields, vocabulary, where + ": model");
  const bool bpe = model_type(fields, where + ": model") == "BPE";
  blanks_inside = bpe && splitter.leaves_whole();
  bytes = bpe && bool_field(fields, "byte_fallback", where + ": model", false);
  std::vector<AddedToken> added = read_added_tokens(description, vocabulary, where);
  for (const AddedToken& token : added) vocabulary.emplace(token.content, token.id);
  templates = read_templates(section(description, "post_processor"), vocabulary, where);
  for (const auto& [token, id] : vocabulary) {
    vocabulary_size = std::max(vocabulary_size, id + 1);
    tokens.emplace(id, token);
  }
  for (const AddedToken& token : added) added_ids.insert(token.id);
  const auto rest = std::stable_partition(
      added.begin(), added.end(), [](const AddedToken& token) { return !token.normalized; });
  plain = TokenFinder({added.begin(), rest}, where);
  normalized = TokenFinder({rest, added.end()}, normalizer, where);
}

std::vector<int64_t> Tokenizer::Parts::ids(std::string_view text) const {
  std::vector<int64_t> ids;
  const std::u32string points = unicode::decode(text);
  for (const auto& [piece, token] : plain(points)) {
    if (token) {
      ids.push_back(token->id);
    } else {
      append_normalized(piece, ids);
    }
  }
  return ids;
}

void Tokenizer::Parts::append_normalized(std::u32string_view text,
                                         std::vector<int64_t>& ids) const {
  std::u32string points(text);
  normalizer(points);
  for (const auto& [piece, token] : normalized(points)) {
    if (token) {
      ids.push_back(token->id);
      continue;
    }
    std::u32string words(piece);
    for (const std::u32string_view word : splitter(words)) model->append(word, ids);
  }
}

std::string Tokenizer::Parts::text_of(const std::string& token) const {
  for (int byte = 0; bytes && token.starts_with("<0x") && byte < 256; ++byte) {
    if (token == byte_token(static_cast<uint8_t>(byte))) {
      return std::string(1, static_cast<char>(byte));
    }
  }
  if (!blanks_inside) return splitter.original(token);
  constexpr std::string_view kBlank = "\u2581";
  std::string text = token;
  for (size_t at = text.find(kBlank); at != std::string::npos; at = text.find(kBlank, at + 1)) {
    text.replace(at, kBlank.size(), 1, ' ');
  }
  return text;
}

Tokenizer::Tokenizer(const json& description, const std::string& where) {
  if (!description.is_object())
    fail("{}: {} is not an object of fields", where, describe(description));
  parts_ = std::make_shared<const Parts>(description, where);
}

Tokenizer Tokenizer::open(const fs::path& folder) {
  const fs::path file = folder / "tokenizer.json";
  if (fs::exists(file)) return {parse_json(read_text(file), file.string()), file.string()};
  const fs::path lines = folder / "vocab.txt", pairs = folder / "vocab.json";
  if (fs::exists(lines)) return {describe_wordpiece_files(folder), lines.string()};
  if (fs::exists(pairs)) return {describe_bpe_files(folder), pairs.string()};
  fail("{}: there is no tokenizer.json, vocab.txt, or vocab.json with merges.txt in the folder",
       folder.string());
}

Encoding Tokenizer::encode(std::string_view text, int64_t most_tokens) const {
  const TextTemplate& around = parts_->templates.single;
  const size_t room = room_for_text(around, most_tokens);
  std::vector<int64_t> ids = parts_->ids(text);
  ids.resize(std::min(ids.size(), room));
  return fill(around, {std::move(ids), {}});
}

Encoding Tokenizer::encode(std::string_view first, std::string_view second,
                           int64_t most_tokens) const {
  const TextTemplate& around = parts_->templates.pair;
  const size_t room = room_for_text(around, most_tokens);
  std::array<std::vector<int64_t>, 2> ids = {parts_->ids(first), parts_->ids(second)};
  const auto kept = longest_first(ids[0].size(), ids[1].size(), room);
  for (size_t i = 0; i < 2; ++i) ids[i].resize(kept[i]);
  return fill(around, ids);
}

std::string Tokenizer::token(int64_t id) const {
  const auto found = parts_->tokens.find(id);
  if (found == parts_->tokens.end()) return {};
  return parts_->added_ids.contains(id) ? found->second : parts_->text_of(found->second);
}

int64_t Tokenizer::vocabulary_size() const { return parts_->vocabulary_size; }

bool is_utf8(std::string_view text) { return unicode::is_utf8(text); }

}  // namespace pace
