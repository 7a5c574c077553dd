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
    if (type == name) return steps_.push_back(step);
  }
  fail(
      "{}: type '{}' is not supported; supported are BertNormalizer, Lowercase, NFC, NFD, "
      "StripAccents and Sequence",
      where, type);
}

void Normalizer::add_bert(const json& config, const std::string& where) {
  const bool lowercase = bool_field(config, "lowercase", where);
  if (bool_field(config, "clean_text", where)) steps_.push_back(Step::kClean);
  if (bool_field(config, "handle_chinese_chars", where)) steps_.push_back(Step::kSpaceIdeographs);
  if (bool_field(config, "strip_accents", where, lowercase)) {
    steps_.push_back(Step::kDecompose);
    steps_.push_back(Step::kDropAccents);
  }
  if (lowercase) steps_.push_back(Step::kLowercase);
}

void Normalizer::operator()(std::u32string& text) const {
  for (const Step step : steps_) {
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
    }
  }
}

}  // namespace pace
