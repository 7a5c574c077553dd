#pragma once

#include <algorithm>
#include <vector>

#include "tests/models/small_models.h"

namespace pace::testing_models {

inline json small_bert_config() {
  return {{"model_type", "bert"},
          {"architectures", {"BertForSequenceClassification"}},
          {"vocab_size", 50},
          {"hidden_size", 24},
          {"num_attention_heads", 3},
          {"num_hidden_layers", 2},
          {"intermediate_size", 40},
          {"max_position_embeddings", 16},
          {"id2label", {{"0", "cat"}, {"1", "dog"}, {"2", "eel"}}}};
}

inline LoadedModel small_bert(int64_t layers = 2) {
  json config = small_bert_config();
  config["num_hidden_layers"] = layers;
  LoadedModel made = build_dense(config, "small", nullptr, {});
  randomise(made.model->parameters(), 1);
  return made;
}

/// Random tokens of sequences of these lengths, in the form a model takes.
inline Tensor tokens_of(const std::vector<int64_t>& lengths, uint64_t seed) {
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const std::vector<int64_t> sizes{std::ssize(lengths), longest};
  Tensor tokens = at::stack(
      {at::randint(50, sizes, generator, at::kLong), at::randint(2, sizes, generator, at::kLong)},
      -1);
  for (int64_t i = 0; i < std::ssize(lengths); ++i) {
    tokens[i].slice(0, lengths[static_cast<size_t>(i)]).fill_(-1);
  }
  return tokens;
}

/// `batch` texts of 1 to 16 tokens.
inline Tensor random_tokens(int64_t batch, int64_t seed) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < batch; ++i) lengths.push_back(1 + (seed + 7 * i) % 16);
  return tokens_of(lengths, static_cast<uint64_t>(seed));
}

}  // namespace pace::testing_models
