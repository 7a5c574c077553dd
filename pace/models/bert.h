#pragma once

#include "pace/models/encoder.h"
#include "pace/models/model.h"

namespace pace {

/// What config.json says of a BertForSequenceClassification or RobertaForSequenceClassification.
struct BertConfig {
  bool roberta = false;  ///< positions begin after the padding's, other names of the classifier
  int64_t vocabulary = 0, types = 0, classes = 0;
  int64_t positions = 0;       ///< the most tokens of a sequence
  int64_t first_position = 0;  ///< row of the position embeddings that the first token takes
  EncoderShape encoder;

  /// Throws Error naming `where` and the field for anything missing, contradictory or unsupported.
  static BertConfig from_json(const json& config, const std::string& where);
};

/// A classifier of texts with Hugging Face's tensor names. Its inputs are int64 [batch, longest,
/// 2], the number of each token in the vocabulary and its type (0 for the first text of a pair, 1
/// for the second), both -1 after the end of a shorter sequence; nothing is computed there.
std::unique_ptr<Model> make_bert(const json& config, const std::string& where,
                                 std::unique_ptr<Parameters> parameters,
                                 const MapBuilder& build_map, const DepthBuilder& build_depth);

}  // namespace pace
