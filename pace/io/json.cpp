#include "pace/io/json.h"

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "pace/base/error.h"

namespace pace {
namespace {

constexpr int kMaxDepth = 64;

/// nlohmann keeps the last of two equal fields without a word; a file that says two things is
/// broken.
class DuplicateGuard {
 public:
  explicit DuplicateGuard(const std::string& where) : where_(where) {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (depth > kMaxDepth) fail("{}: nested deeper than {} levels", where_, kMaxDepth);
    if (event == Event::object_start) fields_.emplace_back();
    if (event == Event::object_end) fields_.pop_back();
    if (event == Event::key && !fields_.back().insert(parsed.get_ref<const std::string&>()).second)
      fail("{}: field {} is given twice", where_, parsed.dump());
    return true;
  }

 private:
  const std::string& where_;
  std::vector<std::set<std::string>> fields_;
};

/// nlohmann's own words without its "[json.exception...] " in front.
std::string message(const json::exception& error) {
  const std::string text = error.what();
  const size_t end = text.find("] ");
  return end == std::string::npos ? text : text.substr(end + 2);
}

const json* find(const json& object, const std::string& field, const std::string& where) {
  if (!object.is_object()) fail("{}: an object is needed, found {}", where, describe(object));
  const auto found = object.find(field);
  return found == object.end() ? nullptr : &*found;
}

const json& require(const json& object, const std::string& field, const std::string& where,
                    const char* needed) {
  const json* value = find(object, field, where);
  if (!value) fail("{}: field '{}' is missing; {} is needed", where, field, needed);
  return *value;
}

[[noreturn]] void wrong(const json& value, const std::string& field, const std::string& where,
                        const char* needed) {
  fail("{}: field '{}' is {}; {} is needed", where, field, describe(value), needed);
}

bool absent(const json& object, const std::string& field, const std::string& where) {
  const json* value = find(object, field, where);
  return !value || value->is_null();
}

}  // namespace

json parse_json(std::string_view text, const std::string& where) {
  try {
    DuplicateGuard guard(where);
    return json::parse(text.begin(), text.end(),
                       [&](int depth, json::parse_event_t event, json& parsed) {
                         return guard(depth, event, parsed);
                       });
  } catch (const json::exception& error) {
    fail("{}: not valid JSON: {}", where, message(error));
  }
}

std::string json_text(const json& document, const std::string& where) {
  try {
    return document.dump(2) + "\n";
  } catch (const json::exception& error) {
    fail("{}: cannot be written as JSON: {}", where, message(error));
  }
}

std::string describe(const json& value) {
  constexpr size_t kShown = 60;
  if (value.is_object()) return fmt::format("an object of {} fields", value.size());
  if (value.is_array()) return fmt::format("an array of {} elements", value.size());
  if (value.is_null()) return "null";
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return fmt::format("{} ({})", text, value.type_name());
}

int64_t integer_field(const json& object, const std::string& field, const std::string& where) {
  constexpr const char* kNeeded = "an integer";
  const json& value = require(object, field, where, kNeeded);
  if (!value.is_number_integer()) wrong(value, field, where, kNeeded);
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    wrong(value, field, where, "an integer below 2^63");
  return value.get<int64_t>();
}

double number_field(const json& object, const std::string& field, const std::string& where) {
  constexpr const char* kNeeded = "a number";
  const json& value = require(object, field, where, kNeeded);
  if (!value.is_number()) wrong(value, field, where, kNeeded);
  return value.get<double>();
}

bool bool_field(const json& object, const std::string& field, const std::string& where) {
  constexpr const char* kNeeded = "true or false";
  const json& value = require(object, field, where, kNeeded);
  if (!value.is_boolean()) wrong(value, field, where, kNeeded);
  return value.get<bool>();
}

std::string string_field(const json& object, const std::string& field, const std::string& where) {
  constexpr const char* kNeeded = "a string";
  const json& value = require(object, field, where, kNeeded);
  if (!value.is_string()) wrong(value, field, where, kNeeded);
  return value.get<std::string>();
}

std::vector<int64_t> integers_field(const json& object, const std::string& field,
                                    const std::string& where) {
  constexpr const char* kNeeded = "an array of integers";
  const json& value = require(object, field, where, kNeeded);
  const auto is_integer = [](const json& element) { return element.is_number_integer(); };
  if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_integer)) {
    wrong(value, field, where, kNeeded);
  }
  return value.get<std::vector<int64_t>>();
}

int64_t integer_field(const json& object, const std::string& field, const std::string& where,
                      int64_t fallback) {
  return absent(object, field, where) ? fallback : integer_field(object, field, where);
}

double number_field(const json& object, const std::string& field, const std::string& where,
                    double fallback) {
  return absent(object, field, where) ? fallback : number_field(object, field, where);
}

bool bool_field(const json& object, const std::string& field, const std::string& where,
                bool fallback) {
  return absent(object, field, where) ? fallback : bool_field(object, field, where);
}

std::string string_field(const json& object, const std::string& field, const std::string& where,
                         const std::string& fallback) {
  return absent(object, field, where) ? fallback : string_field(object, field, where);
}

}  // namespace pace
