#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace pace {

using nlohmann::json;

/// Parses JSON strictly: throws Error with `where` and the position of the mistake, also for a
/// field given twice in one object and for nesting deeper than any config.
json parse_json(std::string_view text, const std::string& where);

/// The document as indented text ending in a newline. Throws Error when a string is not UTF-8.
std::string json_text(const json& document, const std::string& where);

/// A field of a JSON object that must be there and have the right type; the Error says which field
/// of which file is missing or wrong, what it is and what it should be. The forms with `fallback`
/// return it when the field is absent or null.
int64_t integer_field(const json& object, const std::string& field, const std::string& where);
double number_field(const json& object, const std::string& field, const std::string& where);
bool bool_field(const json& object, const std::string& field, const std::string& where);
std::string string_field(const json& object, const std::string& field, const std::string& where);
std::vector<int64_t> integers_field(const json& object, const std::string& field,
                                    const std::string& where);
int64_t integer_field(const json& object, const std::string& field, const std::string& where,
                      int64_t fallback);
double number_field(const json& object, const std::string& field, const std::string& where,
                    double fallback);
bool bool_field(const json& object, const std::string& field, const std::string& where,
                bool fallback);
std::string string_field(const json& object, const std::string& field, const std::string& where,
                         const std::string& fallback);

/// A value for an error message: its type and the beginning of its text.
std::string describe(const json& value);

}  // namespace pace
