#pragma once

#include <string>

#include "pace/io/json.h"

namespace pace {

// Fields of a config.json. All throw Error naming `where`, the field, its value and what would be
// right.

/// A size in 1..65536: no real one comes near, and larger ones would only overflow products.
int64_t size_field(const json& config, const std::string& field, const std::string& where);
int64_t size_field(const json& config, const std::string& field, const std::string& where,
                   int64_t fallback);
/// Most tokens of a text, in 1..2^20.
int64_t context_field(const json& config, const std::string& field, const std::string& where);
/// vocab_size, in 1..2^24.
int64_t vocabulary_field(const json& config, const std::string& where);
/// Checks a size that was found in another way.
int64_t check_size(int64_t value, const std::string& field, const std::string& where);

/// A finite number from 0 on.
double non_negative_field(const json& config, const std::string& field, const std::string& where,
                          double fallback);

/// Throws Error unless `whole` is a multiple of `part`.
void check_divisible(int64_t whole, const char* whole_name, int64_t part, const char* part_name,
                     const std::string& where);

/// Throws Error unless hidden_act is the exact GELU.
void check_activation(const json& config, const std::string& where);

}  // namespace pace
