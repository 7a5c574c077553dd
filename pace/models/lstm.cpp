#include "pace/models/lstm.h"

#include <cmath>
#include <utility>

#include "pace/base/error.h"
#include "pace/kernels/cell.h"
#include "pace/models/labels.h"
#include "pace/models/tokens.h"

namespace pace {

using kernels::Linear;

namespace {

/// The accounts of all time steps as one of all tokens.
Ponder joined(const std::vector<Ponder>& steps, const kernels::Sequences& sequences) {
  std::vector<Tensor> units, costs;
  for (const Ponder& step : steps) {
    units.push_back(step.units);
    if (step.cost.defined()) costs.push_back(step.cost);
  }
  Ponder all = steps.front();
  all.units = sequences.unpad(at::stack(units, 1));
  if (!costs.empty()) all.cost = sequences.unpad(at::stack(costs, 1));
  all.grid = {sequences.rows(), 1, 1};
  return all;
}

}  // namespace

/// What all computations of one time step share.
struct Lstm::Moment {
  Tensor input;  ///< [.., 4 * hidden]: the products of the first layer with the inputs
  Tensor rows;   ///< int64 [batch]: the row of `input` of each sequence; undefined: in order
};

/// A time step computed once more.
class Lstm::Step : public Block {
 public:
  Step(const Lstm& lstm, const Moment& moment, bool repeats)
      : lstm_(lstm), moment_(moment), repeat_(repeats ? lstm.repeat_ : Tensor()) {}

  Tensor forward(const Tensor& states, Pass& pass) const override {
    const auto macs = static_cast<double>(lstm_.step_macs());
    if (pass.active.defined()) {
      std::vector<int64_t> counts(static_cast<size_t>(states.size(0)), 0);
      const int64_t* rows = pass.active.const_data_ptr<int64_t>();
      for (int64_t i = 0; i < pass.active.numel(); ++i) counts[static_cast<size_t>(rows[i])] = 1;
      pass.ledger.charge(counts, macs);
    } else {
      pass.ledger.charge(macs);
    }
    return kernels::runs_own_kernels(states) ? renew(states, pass) : next(states, pass);
  }

 private:
  Tensor renew(const Tensor& states, Pass& pass) const {
    const int64_t hidden = lstm_.shape_.hidden;
    const Tensor& rows = pass.active;
    Tensor renewed = rows.defined() ? states : states.clone();
    const auto output = [&](int64_t layer) {
      const Tensor all = renewed.narrow(1, layer * 2 * hidden, hidden);
      return rows.defined() ? all.index_select(0, rows) : all;
    };
    for (int64_t layer = 0; layer < lstm_.shape_.layers; ++layer) {
      kernels::CellGates gates = gates_of(layer, output(layer), pass);
      if (layer > 0) gates.input = product(lstm_.from_input_, layer, output(layer - 1), pass);
      kernels::renew_cell(gates, renewed, layer * 2 * hidden, rows, pass.context);
    }
    return renewed;
  }

  Tensor next(const Tensor& states, Pass& pass) const {
    const int64_t hidden = lstm_.shape_.hidden;
    const Tensor& rows = pass.active;
    const Tensor some = rows.defined() ? states.index_select(0, rows.to(states.device())) : states;
    std::vector<Tensor> layers;
    for (int64_t layer = 0; layer < lstm_.shape_.layers; ++layer) {
      const Tensor state = some.narrow(1, layer * 2 * hidden, 2 * hidden);
      kernels::CellGates gates = gates_of(layer, state.narrow(1, 0, hidden), pass);
      if (layer > 0) {
        gates.input = product(lstm_.from_input_, layer, layers.back().narrow(1, 0, hidden), pass);
      }
      layers.push_back(kernels::next_cell(gates, state));
    }
    const Tensor renewed = at::cat(layers, 1);
    return rows.defined() ? states.index_copy(0, rows.to(states.device()), renewed) : renewed;
  }

  /// All but what comes from the layer below.
  kernels::CellGates gates_of(int64_t layer, const Tensor& output, Pass& pass) const {
    kernels::CellGates gates;
    gates.recurrent = product(lstm_.from_output_, layer, output, pass);
    if (layer > 0) return gates;
    gates.input = moment_.input;
    gates.input_rows = moment_.rows;
    if (pass.active.defined()) {
      gates.input_rows =
          moment_.rows.defined() ? moment_.rows.index_select(0, pass.active) : pass.active;
    }
    gates.extra = repeat_;
    return gates;
  }

  static Tensor product(const std::vector<std::unique_ptr<Linear>>& maps, int64_t layer,
                        const Tensor& x, Pass& pass) {
    return maps[static_cast<size_t>(layer)]->forward(x, pass.context);
  }

  const Lstm& lstm_;
  const Moment& moment_;
  Tensor repeat_;
};

Lstm::Lstm(const LstmShape& shape, Parameters& parameters, const DepthBuilder& build_depth)
    : shape_(shape) {
  // As torch.nn.LSTM begins: this deviation is that of its uniform numbers.
  const double deviation = 1.0 / std::sqrt(3.0 * static_cast<double>(shape.hidden));
  const int64_t gates = 4 * shape.hidden;
  const auto add = [&](const char* kind, int64_t layer, int64_t in) {
    const std::string end = fmt::format("_{}_l{}", kind, layer);
    const Initial initial = Initial::normal(deviation);
    const Tensor weight = parameters.add("rnn.weight" + end, {gates, in}, initial);
    return std::make_unique<Linear>(weight, parameters.add("rnn.bias" + end, {gates}, initial));
  };
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    from_input_.push_back(add("ih", layer, layer == 0 ? shape.input : shape.hidden));
    from_output_.push_back(add("hh", layer, shape.hidden));
  }
  if (shape.steps > 1) repeat_ = parameters.add("rnn.repeat", {gates}, Initial::normal(deviation));
  depth_ = build_depth(
      {.blocks = shape.steps, .dim = shape.hidden, .stage = "step", .begin = top()}, parameters);
}

Lstm::~Lstm() = default;

Tensor Lstm::forward(const Tensor& inputs, Pass& pass) const {
  const kernels::Sequences& sequences = pass.sequences;
  const Tensor products = from_input_[0]->forward(inputs, pass.context);
  pass.ledger.charge_tokens(static_cast<double>(input_macs()));
  const bool own = kernels::runs_own_kernels(inputs);
  const std::vector<Tensor> by_time =
      own ? std::vector<Tensor>() : sequences.pad(products).unbind(1);

  Moment moment;
  Stack stack;
  for (int64_t step = 0; step < shape_.steps; ++step) {
    stack.blocks.push_back(std::make_unique<Step>(*this, moment, step > 0));
  }
  stack.readout = [](const Tensor& states, Pass&) { return states; };

  const Tensor begins = sequences.begins(), lengths = sequences.lengths();
  const int64_t shortest = lengths.min().item<int64_t>();
  Tensor states = at::zeros({sequences.count(), width()}, inputs.options().dtype(at::kFloat));
  pass.grid = {sequences.count(), 1, 1};
  std::vector<Tensor> outputs;
  std::vector<Ponder> ponders;
  for (int64_t time = 0; time < sequences.longest(); ++time) {
    const Tensor goes_on = time < shortest ? Tensor() : lengths.gt(time);
    // The last token again of a sequence that has ended: what becomes of it is not used.
    const Tensor place = goes_on.defined() ? (lengths - 1).clamp_max(time) : at::full({}, time);
    moment =
        own ? Moment{products, begins + place} : Moment{by_time[static_cast<size_t>(time)], {}};
    const bool picks = goes_on.defined() && pass.form == Form::kExecuted;
    pass.active = picks ? goes_on.nonzero().flatten() : Tensor();
    const Tensor next = depth_->run(states, stack, pass);
    states = goes_on.defined() && !picks
                 ? at::where(goes_on.to(next.device()).unsqueeze(1), next, states)
                 : next;
    // A copy, since the next step may renew the states where they lie.
    outputs.push_back(states.narrow(1, top(), shape_.hidden).clone());
    for (Ponder& ponder : pass.ledger.take_ponders()) ponders.push_back(std::move(ponder));
  }
  pass.active = Tensor();
  if (!ponders.empty()) pass.ledger.record(joined(ponders, sequences));
  return sequences.unpad(at::stack(outputs, 1));
}

namespace {

/// From token numbers to logits.
class LstmModel : public Model {
 public:
  LstmModel(json config, const std::string& where, std::unique_ptr<Parameters> parameters,
            const DepthBuilder& build_depth)
      : json_(std::move(config)),
        config_(LstmConfig::from_json(json_, where)),
        labels_(config_.language_model ? std::vector<std::string>() : class_labels(json_, where)),
        parameters_(std::move(parameters)),
        embeddings_(parameters_->add("encoder.weight", {config_.vocabulary, config_.shape.input},
                                     Initial::normal(kDeviation))),
        lstm_(config_.shape, *parameters_, build_depth),
        answer_(make_answer()) {}

  Tensor forward(const Tensor& inputs, Pass& pass) const override {
    pass.sequences = text_sequences(inputs, config_.most_tokens);
    pass.ledger.open(pass.sequences);
    const kernels::Sequences& sequences = pass.sequences;
    const Tensor tokens = sequences.unpad(inputs.narrow(1, 0, sequences.longest()));
    check_tokens(tokens, 0, "number in the vocabulary", config_.vocabulary);
    const Tensor states = lstm_.forward(at::embedding(embeddings_, tokens.select(1, 0)), pass);
    const double macs = answer_macs();
    if (config_.language_model) {
      pass.ledger.charge_tokens(macs);
      const Tensor logits = sequences.pad(answer_.forward(states, pass.context).to(at::kFloat));
      const int64_t missing = inputs.size(1) - sequences.longest();
      return missing > 0 ? at::constant_pad_nd(logits, {0, 0, 0, missing}) : logits;
    }
    pass.ledger.charge(macs);
    const Tensor last = (sequences.begins() + sequences.lengths() - 1).to(states.device());
    return answer_.forward(states.index_select(0, last), pass.context).to(at::kFloat);
  }

  Tensor dense_macs(const Tensor& inputs) const override {
    const Tensor lengths = text_sequences(inputs, config_.most_tokens).lengths().to(at::kDouble);
    const auto token = static_cast<double>(lstm_.macs());
    const double answer = answer_macs();
    return config_.language_model ? lengths * (token + answer) : lengths * token + answer;
  }

  double answer_macs() const override {
    return static_cast<double>(config_.shape.hidden * answers());
  }
  const std::vector<MapSpec>& maps() const override { return specs_; }
  const json& config() const override { return json_; }
  Parameters& parameters() override { return *parameters_; }
  std::vector<std::string> labels() const override { return labels_; }

 private:
  static constexpr double kDeviation = 0.1;

  int64_t answers() const { return config_.language_model ? config_.vocabulary : config_.classes; }
  kernels::Linear make_answer() {
    const auto [weight, bias] =
        add_linear(config_.language_model ? "decoder" : "classifier", config_.shape.hidden,
                   answers(), kDeviation, *parameters_);
    return {weight, bias};
  }

  json json_;
  LstmConfig config_;
  std::vector<std::string> labels_;
  std::unique_ptr<Parameters> parameters_;
  std::vector<MapSpec> specs_;  ///< none: the gates' products are no maps of tokens
  Tensor embeddings_;
  Lstm lstm_;
  kernels::Linear answer_;
};

}  // namespace

std::unique_ptr<Model> make_lstm(const json& config, const std::string& where,
                                 std::unique_ptr<Parameters> parameters, const MapBuilder&,
                                 const DepthBuilder& build_depth) {
  return std::make_unique<LstmModel>(config, where, std::move(parameters), build_depth);
}

}  // namespace pace
