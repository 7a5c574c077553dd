#include "pace/cli/continuation.h"

#include <algorithm>
#include <iostream>
#include <limits>
#include <utility>

#include "pace/base/error.h"

namespace pace::cli {

void ContinuationOptions::declare(CLI::App& app) {
  const std::string group = "Options for gpt2 and llama";
  app.add_option("--tokens", tokens,
                 "continue the texts by at most so many tokens (0: give the next one)")
      ->check(at_least(0))
      ->group(group);
  app.add_option("--temperature", temperature,
                 "draw tokens, the more evenly the higher (0: take the most probable)")
      ->check(at_least(0))
      ->group(group);
  app.add_option("--top-k", top_k, "draw from so many tokens only, the most probable (0: all)")
      ->check(at_least(0))
      ->group(group);
  app.add_option("--top-p", top_p, "draw from the fewest tokens of this probability together")
      ->check(above_to(0, 1))
      ->group(group);
  app.add_option("--seed", seed, "of what is drawn")->group(group);
  app.add_option("--batch", batch, "texts that are continued at once (1: printed as they come)")
      ->check(at_least(1))
      ->group(group);
}

Encoding encode_prompt(const Tokenizer& tokenizer, const std::string& text) {
  if (!is_utf8(text)) fail("bytes that are no UTF-8");
  Encoding encoding = tokenizer.encode(text, std::numeric_limits<int64_t>::max());
  if (encoding.ids.empty()) fail("there is no text to go on from");
  return encoding;
}

Writer::Writer(const LoadedModel& model, std::shared_ptr<const Tokenizer> tokenizer, double budget,
               const ContinuationOptions& options, bool print_json)
    : model_(model), tokenizer_(std::move(tokenizer)), budget_(budget), json_(print_json) {
  options_.sampling = {options.temperature, options.top_k, options.top_p, options.seed};
  options_.most_tokens = options.tokens;
  options_.stops = text_ends(model.model->config());
  if (!model.model->remember(1)) {
    fail("this model cannot write: --tokens is for models of type gpt2 and llama");
  }
}

std::vector<int64_t> Writer::prompt(const std::string& text) const {
  std::vector<int64_t> ids = encode_prompt(*tokenizer_, text).ids;
  const int64_t context = text_limits(model_.model->config()).tokens;
  if (std::ssize(ids) >= context) {
    fail("{} tokens; the model's context is {}, so give at most {}", ids.size(), context,
         context - 1);
  }
  return ids;
}

void Writer::write(const Batch& batch) const {
  if (json_ || batch.prompts.size() > 1) {
    return print(batch, generate(model_, budget_, batch.prompts, options_));
  }
  std::cout << batch.texts.front() << std::flush;
  bool begins = batch.texts.front().empty();
  generate(model_, budget_, batch.prompts, options_, [&](int64_t, int64_t token) {
    std::cout << text_of({token}, begins) << std::flush;
    begins = false;
  });
  std::cout << "\n";
}

/// Tokens of Llama begin with the blank before a word; at the beginning of a text there is none.
std::string Writer::text_of(const std::vector<int64_t>& tokens, bool begins) const {
  std::string text;
  for (const int64_t token : tokens) text += tokenizer_->token(token);
  return begins && text.starts_with(' ') ? text.substr(1) : text;
}

void Writer::print(const Batch& batch, const Generated& generated) const {
  int64_t tokens = 0;  // that came after the first
  for (const Continuation& each : generated.sequences) {
    tokens += std::max<int64_t>(0, std::ssize(each.tokens) - 1);
  }
  const json speed = tokens > 0 ? json(static_cast<double>(tokens) / generated.seconds) : json();
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    const Continuation& own = generated.sequences[i];
    const std::string text = text_of(own.tokens, batch.texts[i].empty());
    if (!json_) {
      std::cout << batch.texts[i] << text << "\n";
      continue;
    }
    std::cout << dump({{"input", batch.texts[i]},
                       {"text", text},
                       {"tokens", own.tokens},
                       {"stop", to_string(own.stop)},
                       {"macs", own.macs},
                       {"macs_fraction", own.macs / own.dense_macs},
                       {"prompt_seconds", generated.prompt_seconds},
                       {"tokens_per_second", speed},
                       {"memory_bytes", generated.memory_bytes}})
              << "\n";
  }
}

}  // namespace pace::cli
