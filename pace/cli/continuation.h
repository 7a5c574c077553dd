#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pace/cli/options.h"
#include "pace/data/tokenizer.h"
#include "pace/models/generate.h"

namespace pace::cli {

/// Options of `pace predict` for models that write.
struct ContinuationOptions {
  int64_t tokens = 0;  ///< new ones; 0: none are written
  double temperature = 0.0, top_p = 1.0;
  int64_t top_k = 0, batch = 1;
  uint64_t seed = 0;

  void declare(CLI::App& app);
};

/// The tokens of a text to go on from. Throws Error where there are none.
Encoding encode_prompt(const Tokenizer& tokenizer, const std::string& text);

/// Continues texts and prints what comes: as it comes, or as one JSON object per text.
class Writer {
 public:
  Writer(const LoadedModel& model, std::shared_ptr<const Tokenizer> tokenizer, double budget,
         const ContinuationOptions& options, bool print_json);

  /// The tokens of a text to go on from. Throws Error where there is no room to go on.
  std::vector<int64_t> prompt(const std::string& text) const;

  /// Prompts that are continued at once, with their texts.
  struct Batch {
    std::vector<std::string> texts;
    std::vector<std::vector<int64_t>> prompts;
  };
  void write(const Batch& batch) const;

 private:
  std::string text_of(const std::vector<int64_t>& tokens, bool begins) const;
  void print(const Batch& batch, const Generated& generated) const;

  const LoadedModel& model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  double budget_;
  GenerationOptions options_;
  bool json_;
};

}  // namespace pace::cli
