#include "pace/data/tokenizer_template.h"

#include "pace/base/error.h"

namespace pace {
namespace {

using Part = TextTemplate::Part;

Part text(int which, int64_t type) { return {which, {}, type}; }

/// The two texts as they are.
TextTemplates bare() { return {{{text(0, 0)}}, {{text(0, 0), text(1, 1)}}}; }

void check_special(const json& token, const json& id, const TokenIds& vocabulary,
                   const std::string& where) {
  if (!token.is_string() || !id.is_number_integer())
    fail("{} is {} with the id {}; a string and an integer are needed", where, describe(token),
         describe(id));
  const auto found = vocabulary.find(token.get_ref<const std::string&>());
  if (found == vocabulary.end())
    fail("{}: special token {} is not in the vocabulary; it must be", where, describe(token));
  if (id != found->second) {
    fail("{}: special token {} has the id {}; in the vocabulary it has {}", where, describe(token),
         id.dump(), found->second);
  }
}

/// A field like ["[SEP]", 102].
Part special(const json& config, const char* field, const TokenIds& vocabulary,
             const std::string& where, int64_t type = 0) {
  const auto value = config.find(field);
  if (value == config.end() || !value->is_array() || value->size() != 2) {
    fail("{}: field '{}' is {}; an array of a token and its id is needed", where, field,
         value == config.end() ? "missing" : describe(*value));
  }
  check_special((*value)[0], (*value)[1], vocabulary, where + "." + field);
  return {-1, {(*value)[1].get<int64_t>()}, type};
}

TextTemplates bert(const json& config, const TokenIds& vocabulary, const std::string& where) {
  const Part cls = special(config, "cls", vocabulary, where);
  const Part sep = special(config, "sep", vocabulary, where);
  Part last = sep;
  last.type = 1;
  return {{{cls, text(0, 0), sep}}, {{cls, text(0, 0), sep, text(1, 1), last}}};
}

/// RoBERTa knows one token type only, and sets two separators between the texts.
TextTemplates roberta(const json& config, const TokenIds& vocabulary, const std::string& where) {
  const Part cls = special(config, "cls", vocabulary, where);
  const Part sep = special(config, "sep", vocabulary, where);
  return {{{cls, text(0, 0), sep}}, {{cls, text(0, 0), sep, sep, text(1, 0), sep}}};
}

/// The ids of an entry of `special_tokens`.
std::vector<int64_t> ids_of(const json& config, const std::string& name, const TokenIds& vocabulary,
                            const std::string& where) {
  const auto all = config.find("special_tokens");
  if (all == config.end() || !all->is_object() || !all->contains(name))
    fail("{}: special token '{}' is missing in the field 'special_tokens'", where, name);
  const std::string here = fmt::format("{}.special_tokens['{}']", where, name);
  const json& entry = (*all)[name];
  const auto ids = entry.find("ids"), tokens = entry.find("tokens");
  if (ids == entry.end() || tokens == entry.end() || !ids->is_array() || !tokens->is_array() ||
      ids->size() != tokens->size())
    fail("{}: the fields 'ids' and 'tokens' must be arrays of equal length", here);
  for (size_t i = 0; i < ids->size(); ++i) check_special((*tokens)[i], (*ids)[i], vocabulary, here);
  return ids->get<std::vector<int64_t>>();
}

/// A piece like {"Sequence": {"id": "A", "type_id": 0}}.
Part template_part(const json& piece, const json& config, const TokenIds& vocabulary,
                   const std::string& where) {
  if (!piece.is_object() || piece.size() != 1)
    fail("{} is {}; an object with one field is needed", where, describe(piece));
  const std::string& kind = piece.begin().key();
  const json& value = piece.begin().value();
  if (kind != "Sequence" && kind != "SpecialToken")
    fail("{}: '{}' is not supported; supported are Sequence and SpecialToken", where, kind);
  const int64_t type = integer_field(value, "type_id", where);
  if (type < 0) fail("{}: type_id is {}; it must not be negative", where, type);
  const std::string id = string_field(value, "id", where);
  if (kind == "SpecialToken") return {-1, ids_of(config, id, vocabulary, where), type};
  if (id != "A" && id != "B") fail("{}: sequence '{}' is not A or B", where, id);
  return text(id == "A" ? 0 : 1, type);
}

TextTemplate read_template(const json& config, const char* field, int texts,
                           const TokenIds& vocabulary, const std::string& where) {
  const auto pieces = config.find(field);
  if (pieces == config.end() || !pieces->is_array()) {
    fail("{}: field '{}' is {}; an array is needed", where, field,
         pieces == config.end() ? "missing" : describe(*pieces));
  }
  TextTemplate result;
  std::vector<int> uses(2, 0);
  for (size_t i = 0; i < pieces->size(); ++i) {
    result.parts.push_back(
        template_part((*pieces)[i], config, vocabulary, fmt::format("{}.{}[{}]", where, field, i)));
    if (result.parts.back().text >= 0) ++uses[result.parts.back().text];
  }
  if (uses[0] != 1 || uses[1] != texts - 1) {
    fail("{}: field '{}' has sequence A {} times and B {} times; once and {} are needed", where,
         field, uses[0], uses[1], texts == 2 ? "once" : "never");
  }
  return result;
}

/// Byte-level processors change nothing here, so that at most one other counts.
TextTemplates read_sequence(const json& config, const TokenIds& vocabulary,
                            const std::string& where) {
  const auto processors = config.find("processors");
  if (processors == config.end() || !processors->is_array())
    fail("{}: a Sequence needs the field 'processors', an array", where);
  const json* only = nullptr;
  for (const json& processor : *processors) {
    if (string_field(processor, "type", where) == "ByteLevel") continue;
    if (only) fail("{}: a Sequence of more than one that adds tokens is not supported", where);
    only = &processor;
  }
  return only ? read_templates(*only, vocabulary, where) : bare();
}

}  // namespace

int64_t TextTemplate::added() const {
  size_t count = 0;
  for (const Part& part : parts) count += part.ids.size();
  return static_cast<int64_t>(count);
}

TextTemplates read_templates(const json& config, const TokenIds& vocabulary,
                             const std::string& where) {
  if (config.is_null()) return bare();
  const std::string here = where + ": post_processor";
  const std::string type = string_field(config, "type", here);
  if (type == "ByteLevel") return bare();
  if (type == "BertProcessing") return bert(config, vocabulary, here);
  if (type == "RobertaProcessing") return roberta(config, vocabulary, here);
  if (type == "Sequence") return read_sequence(config, vocabulary, where);
  if (type == "TemplateProcessing") {
    return {read_template(config, "single", 1, vocabulary, here),
            read_template(config, "pair", 2, vocabulary, here)};
  }
  fail(
      "{}: type '{}' is not supported; supported are TemplateProcessing, BertProcessing, "
      "RobertaProcessing, ByteLevel and Sequence",
      here, type);
}

}  // namespace pace
