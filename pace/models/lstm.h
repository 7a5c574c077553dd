#pragma once

#include "pace/kernels/linear.h"
#include "pace/models/model.h"

namespace pace {

/// The sizes of a stack of LSTM layers.
struct LstmShape {
  int64_t input = 0, hidden = 0, layers = 1;
  int64_t steps = 1;  ///< most times that each time step is computed; PyTorch's LSTM computes once
};

/// Layers of LSTM with the tensors and the order of gates of torch.nn.LSTM: rnn.weight_ih_l<n> [4 *
/// hidden, in], weight_hh_l<n>, bias_ih_l<n>, bias_hh_l<n>. A time step is a depth seam: its blocks
/// are the same step computed again, from the outputs and cells it gave, with the same input and
/// rnn.repeat [4 * hidden] added to the first layer's gates, which tells a repetition as the flag
/// of arXiv 1603.08983, equation 4, does. States are rows, one for each sequence of the batch:
/// output and cell of every layer.
class Lstm {
 public:
  Lstm(const LstmShape& shape, Parameters& parameters, const DepthBuilder& build_depth);
  ~Lstm();

  /// inputs [rows, input], a row for each token of pass.sequences -> what the last layer gives,
  /// [rows, hidden]. Records one Ponder for all tokens, if its policy records any.
  Tensor forward(const Tensor& inputs, Pass& pass) const;

  /// Of one token of the dense form, which computes every step.
  int64_t macs() const { return input_macs() + shape_.steps * step_macs(); }

 private:
  class Step;
  struct Moment;

  int64_t width() const { return 2 * shape_.hidden * shape_.layers; }  ///< of a row of states
  int64_t top() const { return width() - 2 * shape_.hidden; }  ///< its column of the last output
  int64_t input_macs() const { return 4 * shape_.hidden * shape_.input; }
  int64_t step_macs() const { return 4 * shape_.hidden * shape_.hidden * (2 * shape_.layers - 1); }

  LstmShape shape_;
  std::vector<std::unique_ptr<kernels::Linear>> from_input_, from_output_;  ///< of the layers
  Tensor repeat_;  ///< undefined where steps are computed once
  std::unique_ptr<DepthPolicy> depth_;
};

/// What config.json says of an LSTM that reads tokens.
struct LstmConfig {
  bool language_model = false;  ///< or a classifier of texts
  int64_t vocabulary = 0, classes = 0;
  int64_t most_tokens = 0;  ///< of a text
  LstmShape shape;

  /// Throws Error naming `where` and the field for anything missing, contradictory or unsupported.
  static LstmConfig from_json(const json& config, const std::string& where);
};

/// model_type "lstm-lm", a language model with the tensors encoder.weight [vocabulary, input],
/// those of Lstm, and decoder.weight and .bias: logits [batch, longest, vocabulary] of the token
/// after each one, zeros after the end of a text. Or "lstm", a classifier of texts by what the last
/// token gives, with classifier.weight and .bias in the decoder's place. Inputs are int64 [batch,
/// longest, 2], of which the first number is the token's in the vocabulary, -1 after the end of a
/// text.
std::unique_ptr<Model> make_lstm(const json& config, const std::string& where,
                                 std::unique_ptr<Parameters> parameters,
                                 const MapBuilder& build_map, const DepthBuilder& build_depth);

}  // namespace pace
