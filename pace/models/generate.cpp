#include "pace/models/generate.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "pace/base/error.h"
#include "pace/base/random.h"

namespace pace {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void check(const GenerationOptions& options) {
  const auto& [temperature, top_k, top_p, seed] = options.sampling;
  if (!(temperature >= 0.0 && std::isfinite(temperature))) {
    fail("a temperature of {}; it must be a number from 0 on", temperature);
  }
  if (top_k < 0) fail("top-k is {}; it must be a number of tokens, or 0 for all", top_k);
  if (!(top_p > 0.0 && top_p <= 1.0)) fail("top-p is {}; it must lie in (0, 1]", top_p);
  if (options.most_tokens < 1) {
    fail("{} tokens are to be generated; it must be 1 at least", options.most_tokens);
  }
}

/// Chooses tokens of one sequence.
class Sampler {
 public:
  Sampler(const Sampling& sampling, uint64_t sequence)
      : sampling_(sampling), random_(random_for({sampling.seed, sequence})) {}

  /// logits float [vocabulary].
  int64_t operator()(const Tensor& logits) {
    if (sampling_.temperature == 0.0) return logits.argmax().item<int64_t>();
    const Tensor below = logits.to(at::kDouble) - logits.max();  // at most 0, however cold it is
    const auto [values, order] =
        (below / sampling_.temperature).sort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
    const Tensor shares = values.narrow(0, 0, candidates(values.numel())).softmax(0);
    const double* share = shares.const_data_ptr<double>();
    int64_t count = 0;
    double total = 0.0;
    while (count < shares.numel() && total < sampling_.top_p) total += share[count++];
    double drawn = total * std::generate_canonical<double, 53>(random_);
    int64_t chosen = 0;
    while (chosen + 1 < count && drawn >= share[chosen]) drawn -= share[chosen++];
    return order[chosen].item<int64_t>();
  }

 private:
  int64_t candidates(int64_t all) const {
    return sampling_.top_k > 0 ? std::min(sampling_.top_k, all) : all;
  }

  Sampling sampling_;
  std::mt19937_64 random_;
};

Memory remember(const LoadedModel& model, size_t sequences) {
  std::optional<Memory> memory = model.model->remember(static_cast<int64_t>(sequences));
  if (!memory) fail("this model cannot generate text; models of type gpt2 and llama can");
  return std::move(*memory);
}

/// Sequences that are being continued together.
class Generator {
 public:
  Generator(const LoadedModel& model, double budget,
            const std::vector<std::vector<int64_t>>& prompts, const GenerationOptions& options,
            const OnToken& on_token)
      : model_(model),
        budget_(budget),
        options_(options),
        on_token_(on_token),
        context_(text_limits(model.model->config()).tokens),
        memory_(remember(model, prompts.size())),
        next_(prompts),
        all_(prompts),
        running_(prompts.size()) {
    result_.sequences.resize(prompts.size());
    std::iota(running_.begin(), running_.end(), 0);
    for (size_t i = 0; i < prompts.size(); ++i) {
      const int64_t length = std::ssize(prompts[i]);
      if (length == 0) fail("an empty prompt; there must be a token to go on from");
      if (length >= context_) {
        fail("a prompt of {} tokens; the model's context is {}, which leaves room for none", length,
             context_);
      }
      samplers_.emplace_back(options.sampling, i);
    }
  }

  Generated run() {
    Clock::time_point begin = Clock::now();
    step();
    result_.prompt_seconds = seconds_since(begin);
    begin = Clock::now();
    while (!running_.empty()) step();
    result_.seconds = seconds_since(begin);
    for (size_t i = 0; i < all_.size(); ++i) count_dense(i);
    return std::move(result_);
  }

 private:
  /// One new token for every running sequence.
  void step() {
    Pass pass = model_.pass_at(budget_);
    pass.memory = &memory_;
    pass.last_only = true;
    const Tensor logits = model_.model->forward(inputs(), pass).squeeze(1);
    if (!logits.isfinite().all().item<bool>()) fail("the model's logits are not finite");
    const Tensor macs = pass.ledger.macs();
    result_.memory_bytes = std::max(result_.memory_bytes, memory_.bytes());
    std::vector<int64_t> go_on;
    for (int64_t i = 0; i < std::ssize(running_); ++i) {
      const size_t sequence = running_[static_cast<size_t>(i)];
      result_.sequences[sequence].macs += macs[i].item<double>();
      if (take(sequence, samplers_[sequence](logits[i]))) go_on.push_back(i);
    }
    keep(go_on);
  }

  /// int64 [running, longest, 2]
  Tensor inputs() const {
    int64_t longest = 0;
    for (const size_t sequence : running_) longest = std::max(longest, std::ssize(next_[sequence]));
    Tensor inputs = at::full({std::ssize(running_), longest, 2}, -1, at::kLong);
    for (int64_t i = 0; i < std::ssize(running_); ++i) {
      const std::vector<int64_t>& tokens = next_[running_[static_cast<size_t>(i)]];
      const Tensor own = inputs[i].narrow(0, 0, std::ssize(tokens));
      own.select(1, 0).copy_(at::tensor(tokens, at::kLong));
      own.select(1, 1).zero_();
    }
    return inputs;
  }

  /// Whether the sequence goes on behind the new token.
  bool take(size_t sequence, int64_t token) {
    Continuation& own = result_.sequences[sequence];
    if (std::ranges::find(options_.stops, token) != options_.stops.end()) {
      own.stop = Stop::kToken;
      return false;
    }
    own.tokens.push_back(token);
    all_[sequence].push_back(token);
    next_[sequence] = {token};
    if (on_token_) on_token_(static_cast<int64_t>(sequence), token);
    if (std::ssize(own.tokens) == options_.most_tokens) return false;
    if (std::ssize(all_[sequence]) < context_) return true;
    own.stop = Stop::kContext;
    return false;
  }

  /// Only these of the running sequences go on.
  void keep(const std::vector<int64_t>& places) {
    if (places.size() == running_.size()) return;
    std::vector<size_t> kept;
    for (const int64_t place : places) kept.push_back(running_[static_cast<size_t>(place)]);
    running_ = std::move(kept);
    memory_.keep(places);
  }

  /// What the dense model would have spent: the last new token was not asked about, and of the
  /// prompt only the last token was.
  void count_dense(size_t sequence) {
    Continuation& own = result_.sequences[sequence];
    std::vector<int64_t> asked = all_[sequence];
    const int64_t prompt = std::ssize(asked) - std::ssize(own.tokens);
    if (own.stop != Stop::kToken) asked.pop_back();
    const Tensor inputs =
        at::stack({at::tensor(asked, at::kLong), at::zeros({std::ssize(asked)}, at::kLong)}, 1);
    own.dense_macs = model_.model->dense_macs(inputs.unsqueeze(0)).item<double>() -
                     static_cast<double>(prompt - 1) * model_.model->answer_macs();
  }

  const LoadedModel& model_;
  double budget_;
  const GenerationOptions& options_;
  const OnToken& on_token_;
  int64_t context_;
  Memory memory_;
  std::vector<std::vector<int64_t>> next_;  ///< tokens of each sequence that the model has not seen
  std::vector<std::vector<int64_t>> all_;   ///< prompts and new tokens
  std::vector<size_t> running_;             ///< numbers of sequences, rising
  std::vector<Sampler> samplers_;
  Generated result_;
};

}  // namespace

const char* to_string(Stop stop) {
  switch (stop) {
    case Stop::kLength:
      return "length";
    case Stop::kToken:
      return "token";
    case Stop::kContext:
      return "context";
  }
  fail("there is no reason to stop with number {}", static_cast<int>(stop));
}

Generated generate(const LoadedModel& model, double budget,
                   const std::vector<std::vector<int64_t>>& prompts,
                   const GenerationOptions& options, const OnToken& on_token) {
  const at::NoGradGuard no_grad;
  check(options);
  if (prompts.empty()) fail("there are no prompts to go on from");
  return Generator(model, budget, prompts, options, on_token).run();
}

std::vector<int64_t> token_ids(const json& config, const std::string& field) {
  const auto found = config.find(field);
  if (found == config.end() || found->is_null()) return {};
  const json several = found->is_array() ? *found : json::array({*found});
  std::vector<int64_t> ids;
  for (const json& id : several) {
    if (!id.is_number_integer() || id < 0) {
      fail("config.json: {} is {}, not a token's number", field, id.dump());
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

std::vector<int64_t> text_ends(const json& config) {
  std::vector<int64_t> ends = token_ids(config, "bos_token_id");
  for (const int64_t id : token_ids(config, "eos_token_id")) ends.push_back(id);
  return ends;
}

}  // namespace pace
