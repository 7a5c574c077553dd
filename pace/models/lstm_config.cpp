#include "pace/models/fields.h"
#include "pace/models/labels.h"
#include "pace/models/lstm.h"

namespace pace {

LstmConfig LstmConfig::from_json(const json& config, const std::string& where) {
  LstmConfig lstm;
  lstm.language_model = string_field(config, "model_type", where) == "lstm-lm";
  lstm.vocabulary = vocabulary_field(config, where);
  if (!lstm.language_model) {
    lstm.classes = static_cast<int64_t>(class_labels(config, where).size());
  }
  lstm.most_tokens = size_field(config, "max_length", where, 1024);
  LstmShape& shape = lstm.shape;
  shape.input = size_field(config, "embedding_size", where);
  shape.hidden = size_field(config, "hidden_size", where);
  shape.layers = size_field(config, "num_hidden_layers", where, 1);
  shape.steps = size_field(config, "ponder_steps", where, 1);
  return lstm;
}

}  // namespace pace
