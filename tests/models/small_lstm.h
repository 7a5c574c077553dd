#pragma once

#include "tests/models/small_bert.h"

namespace pace::testing_models {

/// A language model over the tokens of small_bert.h, or a classifier of them, each step of which is
/// computed `steps` times.
inline json small_lstm_config(int64_t steps, bool language_model = true) {
  return {{"model_type", language_model ? "lstm-lm" : "lstm"},
          {"vocab_size", 50},
          {"embedding_size", 7},
          {"hidden_size", 19},
          {"num_hidden_layers", 2},
          {"ponder_steps", steps},
          {"id2label", {{"0", "cat"}, {"1", "dog"}, {"2", "eel"}}}};
}

inline LoadedModel small_lstm(int64_t steps, bool language_model = true) {
  LoadedModel made = build_dense(small_lstm_config(steps, language_model), "small", nullptr, {});
  randomise(made.model->parameters(), 1);
  return made;
}

}  // namespace pace::testing_models
