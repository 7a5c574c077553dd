#include "pace/models/fields.h"

#include <cmath>

#include "pace/base/error.h"

namespace pace {

namespace {

constexpr int64_t kLargestSize = 65536, kLongestContext = int64_t{1} << 20,
                  kLargestVocabulary = int64_t{1} << 24;

int64_t check_range(int64_t value, int64_t most, const std::string& field,
                    const std::string& where) {
  if (value < 1 || value > most) {
    fail("{}: {} is {}; it must lie in 1..{}", where, field, value, most);
  }
  return value;
}

}  // namespace

int64_t check_size(int64_t value, const std::string& field, const std::string& where) {
  return check_range(value, kLargestSize, field, where);
}

int64_t context_field(const json& config, const std::string& field, const std::string& where) {
  return check_range(integer_field(config, field, where), kLongestContext, field, where);
}

int64_t size_field(const json& config, const std::string& field, const std::string& where) {
  return check_size(integer_field(config, field, where), field, where);
}

int64_t size_field(const json& config, const std::string& field, const std::string& where,
                   int64_t fallback) {
  return check_size(integer_field(config, field, where, fallback), field, where);
}

double non_negative_field(const json& config, const std::string& field, const std::string& where,
                          double fallback) {
  const double value = number_field(config, field, where, fallback);
  if (!std::isfinite(value) || value < 0.0) {
    fail("{}: {} is {}; it must be a number from 0 on", where, field, value);
  }
  return value;
}

void check_divisible(int64_t whole, const char* whole_name, int64_t part, const char* part_name,
                     const std::string& where) {
  if (whole % part != 0) {
    fail("{}: {} {} is not divisible by {} {}", where, whole_name, whole, part_name, part);
  }
}

void check_activation(const json& config, const std::string& where) {
  const std::string activation = string_field(config, "hidden_act", where, "gelu");
  if (activation != "gelu") {
    fail("{}: hidden_act is '{}'; only 'gelu' is supported", where, activation);
  }
}

int64_t vocabulary_field(const json& config, const std::string& where) {
  return check_range(integer_field(config, "vocab_size", where), kLargestVocabulary, "vocab_size",
                     where);
}

}  // namespace pace
