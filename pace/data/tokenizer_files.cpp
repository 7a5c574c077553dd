#include "pace/data/tokenizer_files.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "pace/base/error.h"
#include "pace/data/tokenizer.h"

namespace pace {
namespace {

/// tokenizer_config.json, where it is there.
struct Config {
  json fields = json::object();
  std::string where;
};

Config read_config(const fs::path& folder) {
  const fs::path path = folder / "tokenizer_config.json";
  Config config{json::object(), path.string()};
  if (fs::exists(path)) config.fields = parse_json(read_text(path), config.where);
  if (!config.fields.is_object())
    fail("{}: {} is not an object of fields", config.where, describe(config.fields));
  return config;
}

/// A model of another class may have the same files and yet want other tokens around its texts.
void check_class(const Config& config, const std::vector<std::string>& supported) {
  std::string name = string_field(config.fields, "tokenizer_class", config.where, "");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name.empty() || std::find(supported.begin(), supported.end(), name) != supported.end())
    return;
  fail(
      "{}: tokenizer_class '{}' is not supported without a tokenizer.json; supported are {}, and "
      "any whose folder transformers has saved with a tokenizer.json",
      config.where, name, fmt::join(supported, ", "));
}

/// The name of a special token: a string, or an object with its `content`.
std::string token_name(const Config& config, const char* field, const std::string& fallback) {
  const auto value = config.fields.find(field);
  if (value != config.fields.end() && value->is_object())
    return string_field(*value, "content", config.where + ": " + field);
  return string_field(config.fields, field, config.where, fallback);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// A token per line, in the order of their ids.
json read_vocabulary_lines(const fs::path& path) {
  json vocabulary = json::object();
  const std::string text = read_text(path);
  const std::vector<std::string_view> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!is_utf8(lines[i])) fail("{}:{}: not valid UTF-8", path.string(), i + 1);
    const std::string token(lines[i]);
    const auto [place, is_new] = vocabulary.emplace(token, i);
    if (!is_new) {
      fail("{}:{}: token '{}' is on line {} already; each token needs one line", path.string(),
           i + 1, token, place->get<size_t>() + 1);
    }
  }
  if (vocabulary.empty()) fail("{}: the file is empty; a token per line is needed", path.string());
  return vocabulary;
}

json read_merge_lines(const fs::path& path) {
  json merges = json::array();
  const std::string text = read_text(path);
  const std::vector<std::string_view> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty() || lines[i].starts_with("#version")) continue;
    const size_t blank = lines[i].find(' ');
    if (!is_utf8(lines[i]) || blank == std::string_view::npos ||
        lines[i].find(' ', blank + 1) != std::string_view::npos) {
      fail("{}:{}: a line must be two tokens in UTF-8 with one blank between them", path.string(),
           i + 1);
    }
    merges.push_back({lines[i].substr(0, blank), lines[i].substr(blank + 1)});
  }
  return merges;
}

/// [token, id], as the processors of BERT and RoBERTa want it.
json with_id(const std::string& token, const json& vocabulary, const std::string& where) {
  const auto id = vocabulary.find(token);
  if (id == vocabulary.end())
    fail("{}: special token '{}' is not in the vocabulary; it must be", where, token);
  return json::array({token, *id});
}

json special_token(const std::string& content, const json& id, bool strip_left = false) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", strip_left},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

/// Special tokens that are in the vocabulary, and what `added_tokens_decoder`, where transformers
/// has written it, says of them and of others.
json added_tokens(const Config& config, const std::vector<json>& specials, const json& vocabulary,
                  const fs::path& folder) {
  std::map<std::string, json> tokens;
  for (const json& token : specials) {
    const auto content = token["content"].get<std::string>();
    if (vocabulary.contains(content)) tokens[content] = token;
  }
  const auto decoder = config.fields.find("added_tokens_decoder");
  if (decoder == config.fields.end() || decoder->is_null()) {
    if (fs::exists(folder / "added_tokens.json")) {
      fail(
          "{}: not supported; load and save the tokenizer with transformers, which writes a "
          "tokenizer.json",
          (folder / "added_tokens.json").string());
    }
  } else {
    if (!decoder->is_object())
      fail("{}: added_tokens_decoder is {}; an object is needed", config.where, describe(*decoder));
    for (const auto& [id, fields] : decoder->items()) {
      const std::string here = fmt::format("{}: added_tokens_decoder['{}']", config.where, id);
      json token = fields;
      const std::string content = string_field(token, "content", here);
      token["id"] = json::parse(id, nullptr, false);
      tokens[content] = std::move(token);
    }
  }
  std::vector<json> ordered;
  ordered.reserve(tokens.size());
  for (auto& [content, token] : tokens) ordered.push_back(std::move(token));
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const json& a, const json& b) { return a["id"] < b["id"]; });
  return ordered;
}

}  // namespace

json describe_wordpiece_files(const fs::path& folder) {
  const Config config = read_config(folder);
  check_class(config,
              {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"});
  const fs::path path = folder / "vocab.txt";
  const json vocabulary = read_vocabulary_lines(path);
  const std::string unknown = token_name(config, "unk_token", "[UNK]");
  const std::string cls = token_name(config, "cls_token", "[CLS]");
  const std::string sep = token_name(config, "sep_token", "[SEP]");
  std::vector<json> specials;
  for (const std::string& token : {unknown, cls, sep, token_name(config, "pad_token", "[PAD]"),
                                   token_name(config, "mask_token", "[MASK]")}) {
    specials.push_back(special_token(token, vocabulary.value(token, json())));
  }
  const auto strip = config.fields.find("strip_accents");
  return {{"added_tokens", added_tokens(config, specials, vocabulary, folder)},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars",
             bool_field(config.fields, "tokenize_chinese_chars", config.where, true)},
            {"strip_accents", strip == config.fields.end() ? json() : *strip},
            {"lowercase", bool_field(config.fields, "do_lower_case", config.where, true)}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "BertProcessing"},
            {"cls", with_id(cls, vocabulary, path.string())},
            {"sep", with_id(sep, vocabulary, path.string())}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", unknown},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", vocabulary}}}};
}

namespace {

/// A processor that puts one token before a text or a pair.
json template_after(const json& token, const json& id) {
  const auto part = [](const char* kind, const json& name, int type) {
    json fields;
    fields[kind] = {{"id", name}, {"type_id", type}};
    return fields;
  };
  const json begin = part("SpecialToken", token, 0), first = part("Sequence", "A", 0);
  json processor = {{"type", "TemplateProcessing"}};
  processor["single"] = json::array({begin, first});
  processor["pair"] = json::array({begin, first, part("Sequence", "B", 1)});
  processor["special_tokens"][token.get<std::string>()] = {
      {"id", token}, {"ids", json::array({id})}, {"tokens", json::array({token})}};
  return processor;
}

/// A vocabulary of SentencePiece's BPE: `pieces`, each with id, piece, score and type. Of the pairs
/// that join into a piece, those of the highest score come first.
json describe_pieces(const json& file, const std::string& where) {
  struct Piece {
    double score;
    std::string text;
    bool special;
  };
  std::vector<Piece> pieces;
  json vocabulary = json::object();
  for (const json& field : file["pieces"]) {
    const std::string here = fmt::format("{}: pieces[{}]", where, pieces.size());
    if (!field.is_object()) fail("{} is {}; an object is needed", here, describe(field));
    const std::string text = string_field(field, "piece", here);
    const std::string type = string_field(field, "type", here);
    const auto [place, is_new] = vocabulary.emplace(text, integer_field(field, "id", here));
    if (!is_new) fail("{}: '{}' is a piece already; each needs its own", here, text);
    pieces.push_back(
        {number_field(field, "score", here, 0.0), text, type == "control" || type == "unknown"});
  }
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const Piece& a, const Piece& b) { return a.score > b.score; });
  json merges = json::array(), added = json::array();
  for (const auto& [score, text, special] : pieces) {
    if (special) {
      added.push_back(special_token(text, vocabulary[text]));
      continue;
    }
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const std::string first = text.substr(0, cut), second = text.substr(cut);
      if (is_utf8(first) && vocabulary.contains(first) && vocabulary.contains(second)) {
        merges.push_back({first, second});
      }
    }
  }
  json normalizer;
  if (bool_field(file, "add_dummy_prefix", where, true)) {
    normalizer = {{"type", "Prepend"}, {"prepend", " "}};
  }
  const json begin = with_id("<s>", vocabulary, where);
  return {{"added_tokens", added},
          {"normalizer", normalizer},
          {"post_processor", template_after(begin[0], begin[1])},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"byte_fallback", bool_field(file, "byte_fallback", where, false)},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

}  // namespace

json describe_bpe_files(const fs::path& folder) {
  const Config config = read_config(folder);
  const fs::path path = folder / "vocab.json";
  const json vocabulary = parse_json(read_text(path), path.string());
  if (!vocabulary.is_object())
    fail("{}: {} is not an object of tokens and ids", path.string(), describe(vocabulary));
  if (const auto pieces = vocabulary.find("pieces");
      pieces != vocabulary.end() && pieces->is_array()) {
    check_class(config, {"LlamaTokenizer"});
    return describe_pieces(vocabulary, path.string());
  }
  check_class(config, {"RobertaTokenizer", "GPT2Tokenizer"});
  const std::string cls = token_name(config, "cls_token", "<s>");
  const std::string sep = token_name(config, "sep_token", "</s>");
  const std::string mask = token_name(config, "mask_token", "<mask>");
  std::vector<json> specials;
  for (const std::string& token :
       {cls, sep, token_name(config, "unk_token", "<unk>"),
        token_name(config, "pad_token", "<pad>"), std::string("<|endoftext|>")}) {
    specials.push_back(special_token(token, vocabulary.value(token, json())));
  }
  // RoBERTa's mask stands for a word together with the blank before it.
  specials.push_back(special_token(mask, vocabulary.value(mask, json()), true));
  json processor;
  if (vocabulary.contains(cls) && vocabulary.contains(sep)) {
    processor = {{"type", "RobertaProcessing"},
                 {"cls", with_id(cls, vocabulary, path.string())},
                 {"sep", with_id(sep, vocabulary, path.string())}};
  }
  return {
      {"added_tokens", added_tokens(config, specials, vocabulary, folder)},
      {"pre_tokenizer",
       {{"type", "ByteLevel"},
        {"add_prefix_space", bool_field(config.fields, "add_prefix_space", config.where, false)}}},
      {"post_processor", processor},
      {"model",
       {{"type", "BPE"},
        {"vocab", vocabulary},
        {"merges", read_merge_lines(folder / "merges.txt")}}}};
}

}  // namespace pace
