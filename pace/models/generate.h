#pragma once

#include <functional>
#include <vector>

#include "pace/models/factory.h"

namespace pace {

/// How a token is chosen from the logits of the model.
struct Sampling {
  double temperature = 0.0;  ///< that logits are divided by; 0: the most probable token
  int64_t top_k = 0;         ///< drawn from the most probable ones only; 0: from all
  double top_p = 1.0;        ///< from the fewest that have this probability together
  uint64_t seed = 0;
};

struct GenerationOptions {
  Sampling sampling = {};
  int64_t most_tokens = 0;          ///< new ones of a sequence
  std::vector<int64_t> stops = {};  ///< tokens that end a sequence and do not belong to it
};

enum class Stop {
  kLength,   ///< as many tokens as were asked for
  kToken,    ///< one of the stops
  kContext,  ///< no more tokens fit into the model's context
};
const char* to_string(Stop stop);  ///< "length", "token", "context"

/// How one prompt went on.
struct Continuation {
  std::vector<int64_t> tokens;  ///< new ones
  Stop stop = Stop::kLength;
  double macs = 0.0, dense_macs = 0.0;  ///< executed, and of the dense model for the same tokens
};

/// How several went on, at once.
struct Generated {
  std::vector<Continuation> sequences;
  double prompt_seconds = 0.0, seconds = 0.0;  ///< until the first new tokens; from then on
  int64_t memory_bytes = 0;                    ///< most, of all keys and values
};

/// Called with a sequence's number and its new token.
using OnToken = std::function<void(int64_t sequence, int64_t token)>;

/// Continues all prompts together, token by token, with what the blocks remember of the tokens that
/// went through them. A sequence goes on as it would alone: it has its own random numbers, drawn
/// from the seed. Throws Error for a model without memory, for an empty prompt or one that leaves
/// no room in the context, for options that make no sense, and when logits are not finite.
Generated generate(const LoadedModel& model, double budget,
                   const std::vector<std::vector<int64_t>>& prompts,
                   const GenerationOptions& options, const OnToken& on_token = {});

/// The tokens that a field of a config names: one, several, or none. Throws Error for what is no
/// token's number.
std::vector<int64_t> token_ids(const json& config, const std::string& field);
/// The tokens of a config that begin or end a text, at which a continuation stops.
std::vector<int64_t> text_ends(const json& config);

}  // namespace pace
