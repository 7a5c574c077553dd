#include "pace/data/tokenizer_model.h"

#include <limits>

#include "pace/base/error.h"

namespace pace {
std::string model_type(const json& model, const std::string& where) {
  // Files of the first versions of the format do not name the type.
  if (!model.contains("type")) {
    if (model.contains("merges")) return "BPE";
    if (model.contains("max_input_chars_per_word")) return "WordPiece";
  }
  return string_field(model, "type", where);
}

TokenIds read_vocabulary(const json& model, const std::string& where) {
  const auto field = model.find("vocab");
  if (field == model.end() || !field->is_object() || field->empty()) {
    fail("{}: field 'vocab' is {}; an object of tokens and their ids is needed", where,
         field == model.end() ? "missing" : describe(*field));
  }
  TokenIds vocabulary;
  vocabulary.reserve(field->size());
  std::unordered_map<int64_t, std::string_view> token_of;
  token_of.reserve(field->size());
  for (const auto& [token, value] : field->items()) {
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
    const bool small = value.is_number_unsigned() ? value.get<uint64_t>() <= kMost
                                                  : value.is_number_integer() && value >= 0;
    if (!small) {
      fail("{}: token {} has the id {}; a whole number from 0 to {} is needed", where,
           describe(token), describe(value), kMost);
    }
    const auto id = value.get<int64_t>();
    const auto [other, is_new] = token_of.emplace(id, token);
    if (!is_new) {
      fail("{}: tokens {} and {} have the same id {}; each needs its own", where,
           describe(std::string(other->second)), describe(token), id);
    }
    vocabulary.emplace(token, id);
  }
  return vocabulary;
}

std::unique_ptr<const SubwordModel> read_model(const json& model, const TokenIds& vocabulary,
                                               const std::string& where) {
  const std::string type = model_type(model, where);
  if (type == "WordPiece") return read_wordpiece(model, vocabulary, where);
  if (type == "BPE") return read_bpe(model, vocabulary, where);
  fail("{}: type '{}' is not supported; supported are WordPiece and BPE", where, type);
}

}  // namespace pace
