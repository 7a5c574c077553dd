#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pace/io/json.h"

namespace pace {

/// Hashes strings and views of them alike, so that a view can be looked up as it is.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
/// Tokens, in UTF-8, to their ids.
using TokenIds = std::unordered_map<std::string, int64_t, TextHash, std::equal_to<>>;

/// Breaks words up into tokens. Safe to use from several threads.
class SubwordModel {
 public:
  virtual ~SubwordModel() = default;
  /// Appends the ids of a word that is not empty.
  virtual void append(std::u32string_view word, std::vector<int64_t>& ids) const = 0;
};

/// The vocabulary of the section `model` of a tokenizer.json. Throws Error naming `where` and the
/// token when an id is not a whole number in [0, 2^31), or is given to two tokens.
TokenIds read_vocabulary(const json& model, const std::string& where);

/// "WordPiece" or "BPE", or what else the section says that it is.
std::string model_type(const json& model, const std::string& where);

/// The section `model`, without its vocabulary. Throws Error naming `where` and the field for what
/// is not supported, or contradicts the vocabulary.
std::unique_ptr<const SubwordModel> read_model(const json& model, const TokenIds& vocabulary,
                                               const std::string& where);

/// The token "<0x0A>" of a byte, in vocabularies that fall back to bytes.
std::string byte_token(uint8_t byte);

std::unique_ptr<const SubwordModel> read_wordpiece(const json& model, const TokenIds& vocabulary,
                                                   const std::string& where);
std::unique_ptr<const SubwordModel> read_bpe(const json& model, const TokenIds& vocabulary,
                                             const std::string& where);

}  // namespace pace
