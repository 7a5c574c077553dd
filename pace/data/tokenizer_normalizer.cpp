#include "pace/data/tokenizer_normalizer.h"

#include "pace/base/error.h"
#include "pace/data/tokenizer_unicode.h"

namespace pace {
namespace {

void clean(std::u32string& text) {
  std::erase_if(text, [](char32_t point) {
    if (point == U'\t' || point == U'\n' || point == U'\r') return false;
    return point == 0xFFFD || unicode::is_control(point);
  });
  for (char32_t& point : text) {
    if (unicode::is_space(point)) point = U' ';
  }
}

void space_ideographs(std::u32string& text) {
  std::u32string spaced;
  spaced.reserve(text.size());
  for (const char32_t point : text) {
    if (unicode::is_ideograph(point)) {
      spaced.append({U' ', point, U' '});
    } else {
      spaced.push_back(point);
    }
  }
  text.swap(spaced);
}

void replace(std::u32string_view from, std::u32string_view to, std::u32string& text) {
  std::u32string replaced;
  size_t begin = 0;
  for (size_t at = text.find(from); at != std::u32string::npos; at = text.find(from, begin)) {
    replaced.append(text, begin, at - begin).append(to);
    begin = at + from.size();
  }
  text = replaced.append(text, begin);
}

}  // namespace

Normalizer::Normalizer(const json& config, const std::string& where) {
  if (!config.is_null()) add(config, where + ": normalizer");
}

void Normalizer::add(const json& config, const std::string& where) {
  const std::string type = string_field(config, "type", where);
  if (type == "BertNormalizer") return add_bert(config, where);
  if (type == "Sequence") {
    const auto parts = config.find("normalizers");
    if (parts == config.end() || !parts->is_array())
      fail("{}: a Sequence needs the field 'normalizers', an array", where);
    for (size_t i = 0; i < parts->size(); ++i) {
      add((*parts)[i], fmt::format("{}.normalizers[{}]", where, i));
    }
    return;
  }
  static const std::pair<const char*, Step> kSimple[] = {{"Lowercase", Step::kLowercase},
                                                         {"NFC", Step::kCompose},
                                                         {"NFD", Step::kDecompose},
                                                         {"StripAccents", Step::kDropMarks}};
  for (const auto& [name, step] : kSimple) {
    if (type == name) return actions_.push_back({step});
  }
  if (type == "Prepend") {
    return actions_.push_back(
        {Step::kPrepend, {}, unicode::decode(string_field(config, "prepend", where))});
  }
  if (type == "Replace") return add_replace(config, where);
  fail(
      "{}: type '{}' is not supported; supported are BertNormalizer, Lowercase, NFC, NFD, Prepend, "
      "Replace, StripAccents and Sequence",
      where, type);
}

void Normalizer::add_bert(const json& config, const std::string& where) {
  const bool lowercase = bool_field(config, "lowercase", where);
  if (bool_field(config, "clean_text", where)) actions_.push_back({Step::kClean});
  if (bool_field(config, "handle_chinese_chars", where))
    actions_.push_back({Step::kSpaceIdeographs});
  if (bool_field(config, "strip_accents", where, lowercase)) {
    actions_.push_back({Step::kDecompose});
    actions_.push_back({Step::kDropAccents});
  }
  if (lowercase) actions_.push_back({Step::kLowercase});
}

void Normalizer::add_replace(const json& config, const std::string& where) {
  const auto pattern = config.find("pattern");
  if (pattern == config.end() || !pattern->is_object() || !pattern->contains("String")) {
    fail("{}: a Replace needs the field 'pattern' with a 'String'; others are not supported",
         where);
  }
  const std::u32string from = unicode::decode(string_field(*pattern, "String", where));
  if (from.empty()) fail("{}: the 'String' to replace is empty", where);
  actions_.push_back(
      {Step::kReplace, from, unicode::decode(string_field(config, "content", where))});
}

void Normalizer::operator()(std::u32string& text) const {
  for (const auto& [step, from, to] : actions_) {
    switch (step) {
      case Step::kClean:
        clean(text);
        break;
      case Step::kSpaceIdeographs:
        space_ideographs(text);
        break;
      case Step::kDecompose:
        unicode::decompose(text);
        break;
      case Step::kCompose:
        unicode::compose(text);
        break;
      case Step::kDropAccents:
        std::erase_if(text, unicode::is_accent);
        break;
      case Step::kDropMarks:
        std::erase_if(text, unicode::is_mark);
        break;
      case Step::kLowercase:
        unicode::lowercase(text);
        break;
      case Step::kPrepend:
        if (!text.empty()) text.insert(0, to);
        break;
      case Step::kReplace:
        replace(from, to, text);
        break;
    }
  }
}

}  // namespace pace
