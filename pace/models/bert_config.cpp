#include "pace/base/error.h"
#include "pace/models/bert.h"
#include "pace/models/fields.h"
#include "pace/models/labels.h"

namespace pace {

namespace {

void check_supported(const json& config, const std::string& where) {
  check_activation(config, where);
  const std::string positions = string_field(config, "position_embedding_type", where, "absolute");
  if (positions != "absolute") {
    fail("{}: position_embedding_type is '{}'; only 'absolute' is supported", where, positions);
  }
  if (bool_field(config, "is_decoder", where, false)) {
    fail("{}: is_decoder is true; only encoders are supported here", where);
  }
}

}  // namespace

BertConfig BertConfig::from_json(const json& config, const std::string& where) {
  if (!config.is_object()) fail("{}: the config must be a JSON object", where);
  check_supported(config, where);
  BertConfig bert;
  bert.roberta = string_field(config, "model_type", where) == "roberta";
  bert.vocabulary = vocabulary_field(config, where);
  bert.types = size_field(config, "type_vocab_size", where, 2);
  bert.classes = static_cast<int64_t>(class_labels(config, where).size());
  if (bert.roberta) bert.first_position = integer_field(config, "pad_token_id", where, 1) + 1;
  const int64_t rows = size_field(config, "max_position_embeddings", where);
  bert.positions = rows - bert.first_position;
  if (bert.first_position < 0 || bert.positions < 1) {
    fail("{}: max_position_embeddings is {} and pad_token_id {}, which leaves no position", where,
         rows, bert.first_position - 1);
  }
  EncoderShape& encoder = bert.encoder;
  encoder.post_norm = true;
  encoder.dim = size_field(config, "hidden_size", where);
  encoder.layers = size_field(config, "num_hidden_layers", where);
  encoder.heads = size_field(config, "num_attention_heads", where);
  encoder.hidden = size_field(config, "intermediate_size", where);
  encoder.norm_epsilon = non_negative_field(config, "layer_norm_eps", where, 1e-12);
  encoder.initializer_range = non_negative_field(config, "initializer_range", where, 0.02);
  check_divisible(encoder.dim, "hidden_size", encoder.heads, "num_attention_heads", where);
  return bert;
}

}  // namespace pace
