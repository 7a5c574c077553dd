#pragma once

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pace/data/loader.h"

namespace pace::cli {

using nlohmann::json;

/// Checks of option values; unlike CLI11's own they refuse NaN and text after the number.
CLI::Validator at_least(double low);
CLI::Validator above(double low);
/// low <= value < high, for shares such as label smoothing.
CLI::Validator from_to(double low, double high);
/// low < value <= high, for shares such as budgets.
CLI::Validator above_to(double low, double high);

/// A list option with values separated by commas: "--budgets 1,0.5". It takes one argument, so that
/// what follows is not swallowed.
template <class T>
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<T>& values,
                      const std::string& description) {
  return app.add_option(name, values, description)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("LIST")
      ->default_str(fmt::format("{}", fmt::join(values, ",")));
}

/// Types of a model's products: "f32" or "bf16".
at::ScalarType parse_dtype(const std::string& name);
/// --dtype NAME.
void add_dtype(CLI::App& app, at::ScalarType& type);

/// "1%" or "0.01" -> 0.01. Throws CLI::ValidationError naming the option unless it is in [0, 1).
double parse_share(const std::string& text, const std::string& option);
/// "3" -> 3; "1-8" -> 1, 2, ..., 8; "1-8*2" -> 1, 2, 4, 8; "1-9+4" -> 1, 5, 9. Throws
/// CLI::ValidationError naming the option unless all are whole numbers from 1 up.
std::vector<int64_t> parse_range(const std::string& text, const std::string& option);

/// Every option of a command with the value it has, given or default: what is needed to repeat the
/// run. Values are numbers, booleans or text.
json options_json(const CLI::App& app);

/// The text of a JSON value; what is no UTF-8 in it (a file name, say) is replaced, not refused.
std::string dump(const json& value, int indent = -1);

/// Number of threads that compute.
struct ThreadOptions {
  int threads = 0;

  void declare(CLI::App& app);
  void apply() const;
};

/// Tokens of a language model's example, where nobody asks for others.
inline constexpr int64_t kSequence = 256;

/// Which examples, and how they are read.
struct DataOptions {
  std::string data;
  int64_t limit = 0;
  int64_t batch = 64;
  int64_t sequence = 0, stride = 0;  ///< of language models, in tokens; 0: as documented
  int loader_threads = 2;
  bool skip_broken = false;

  void declare(CLI::App& app, const std::string& purpose);
  LoaderOptions loader(uint64_t seed) const;
};

/// What the training runs have in common: where the result goes, how long between checkpoints, and
/// the random changes to pictures.
struct RunOptions {
  std::string out;
  bool resume = false, force = false;
  uint64_t seed = 0;
  double checkpoint_seconds = 60.0;
  double clip = 1.0;
  int64_t accumulate = 1;
  bool bf16 = false;
  Augmentation augment;

  void declare(CLI::App& app);

 private:
  void declare_augmentation(CLI::App& app);
};

}  // namespace pace::cli
