#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pace/data/tokenizer_model.h"

namespace pace {

/// Where the special tokens stand around a text, or around and between two.
struct TextTemplate {
  struct Part {
    int text = -1;             ///< 0 or 1: the first or the second text; -1: the ids below
    std::vector<int64_t> ids;  ///< of special tokens
    int64_t type = 0;          ///< token type of all of it
  };
  std::vector<Part> parts;

  /// How many special tokens there are.
  int64_t added() const;
};

struct TextTemplates {
  TextTemplate single, pair;
};

/// From the section `post_processor` of a tokenizer.json; with null nothing is added. Throws Error
/// naming `where` and the field for what is not supported, and for special tokens that `vocabulary`
/// (added tokens included) does not have with that id.
TextTemplates read_templates(const json& config, const TokenIds& vocabulary,
                             const std::string& where);

}  // namespace pace
