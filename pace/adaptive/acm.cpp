#include "pace/adaptive/acm.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "pace/base/error.h"
#include "pace/io/model_folder.h"

namespace pace {

namespace {

Tensor cost_of_choices(const AcmShape& shape) {
  Tensor cost =
      at::arange(shape.learners + 1, at::kDouble) * static_cast<double>(shape.macs_per_learner());
  if (shape.dense_last) cost[-1].fill_(static_cast<double>(shape.in * shape.out));
  return cost;
}

}  // namespace

Acm::Acm(const AcmShape& shape, const std::string& site, const std::string& prefix,
         Parameters& parameters)
    : shape_(shape),
      site_(site),
      choice_cost_(cost_of_choices(shape)),
      gate_(shape.gate, prefix + ".gate", parameters) {
  const int64_t hidden = shape.stacked() * shape.width;
  const auto deviation = [](int64_t fan_in) {
    return 1.0 / std::sqrt(static_cast<double>(fan_in));
  };
  in_weight_ = parameters.add(prefix + ".in_weight", {hidden, shape.in},
                              Initial::normal(deviation(shape.in)));
  in_bias_ = parameters.add(prefix + ".in_bias", {hidden}, Initial::zeros());
  centre_ = parameters.add(prefix + ".centre", {hidden}, Initial::zeros());
  out_weight_ = parameters.add(prefix + ".out_weight", {shape.out, hidden},
                               Initial::normal(deviation(hidden)));
  learner_bias_ =
      parameters.add(prefix + ".learner_bias", {shape.stacked(), shape.out}, Initial::zeros());
  bias_ = parameters.add(prefix + ".bias", {shape.out}, Initial::zeros());
  if (!shape.dense_last) return;
  dense_weight_ = parameters.add(prefix + ".dense_weight", {shape.out, shape.in},
                                 Initial::normal(deviation(shape.in)));
  dense_bias_ = parameters.add(prefix + ".dense_bias", {shape.out}, Initial::zeros());
}

Tensor Acm::forward(const Tensor& tokens, Pass& pass) const {
  return pass.form == Form::kRelaxed ? relaxed(tokens, pass) : executed(tokens, pass);
}

Tensor Acm::relaxed(const Tensor& tokens, Pass& pass) const {
  const Tensor choice = gate_.relaxed(tokens, pass);
  // sum_k g_k h(z, k) = bias + sum_n s_n(z) G_n with the tail G_n = sum_{k >= n} g_k: a dense MLP
  // whose hidden units are scaled by the tail of their learner, exact and without partial sums.
  const Tensor tail = choice.slice(-1, 1, shape_.stacked() + 1).flip(-1).cumsum(-1).flip(-1);
  Tensor hidden = kernels::activate(kernels::linear(tokens, in_weight_, in_bias_, pass.context),
                                    shape_.activation);
  hidden.sub_(centre_.to(hidden.scalar_type()));
  // Repeated for each unit: broadcasting over the units of a learner takes LibTorch longer.
  hidden = hidden * tail.to(hidden.scalar_type()).repeat_interleave(shape_.width, -1);
  const Tensor learned = kernels::linear(hidden, out_weight_, {}, pass.context);
  pass.ledger.charge_tokens(gate_.macs_per_token());
  pass.ledger.record({site_, choice.argmax(-1), choice, choice_cost(), shape_.gate.minimum});
  const Tensor sum = learned + at::matmul(tail, learner_bias_);
  if (!shape_.dense_last) return sum + bias_;
  const Tensor whole = choice.slice(-1, shape_.learners);
  return sum + (1 - whole) * bias_ +
         whole * kernels::linear(tokens, dense_weight_, dense_bias_, pass.context);
}

Tensor Acm::executed(const Tensor& tokens, Pass& pass) const {
  const Tensor k = gate_.best(tokens, pass);
  pass.ledger.charge_tokens(gate_.macs_per_token());
  pass.ledger.record({site_, k, {}, choice_cost(), shape_.gate.minimum});
  if (!tokens.is_cpu()) return kernels::grouped_mlp(tokens, k, learners(), pass.context);
  return kernels::ragged_mlp(tokens, k, *packed(pass.context), pass.context);
}

kernels::Learners Acm::learners() const {
  const at::NoGradGuard no_grad;
  const Tensor central =
      (out_weight_ * centre_).unflatten(1, {shape_.stacked(), shape_.width}).sum(-1).t();
  const Tensor offsets = at::cat({bias_.unsqueeze(0), bias_ + (learner_bias_ - central).cumsum(0)});
  return {in_weight_,   in_bias_,          out_weight_,   offsets,
          shape_.width, shape_.activation, dense_weight_, dense_bias_};
}

std::shared_ptr<const kernels::PackedLearners> Acm::packed(const kernels::Context& context) const {
  return packed_.of(context,
                    {in_weight_, in_bias_, centre_, out_weight_, learner_bias_, bias_,
                     dense_weight_, dense_bias_},
                    [&] { return kernels::PackedLearners(learners(), context); });
}

bool AcmConfig::covers(MapKind kind) const {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

AcmShape AcmConfig::shape(const MapSpec& spec) const {
  if (spec.gated || spec.transposed) {
    fail("{}: adaptive computation modules replace the maps of encoders only", spec.site);
  }
  AcmShape shape;
  shape.in = spec.in;
  shape.out = spec.out;
  shape.learners = learners;
  if (spec.kind == MapKind::kMlp) {
    if (spec.hidden % learners != 0) {
      fail("{}: {} hidden units cannot be divided into {} learners; choose a divisor of {}",
           spec.site, spec.hidden, learners, spec.hidden);
    }
    shape.width = spec.hidden / learners;
    shape.activation = spec.activation;
  } else {
    shape.dense_last = learners > 1;
    shape.width = spec.in * spec.out / ((spec.in + spec.out) * learners);
    if (shape.width == 0) {
      fail("{}: a projection of {} x {} is too small for {} learners; use at most {}", spec.site,
           spec.in, spec.out, learners, spec.in * spec.out / (spec.in + spec.out));
    }
  }
  // The golden ratio spreads the rounding of a static k evenly over any number of parts.
  const double turns = 0.6180339887498949 * (spec.block * 5 + static_cast<int>(spec.kind) + 1);
  shape.gate = {gate,
                spec.in,
                gate_hidden,
                learners,
                spec.kind == MapKind::kMlp ? minimum_mlp : minimum_projection,
                temperature,
                turns - std::floor(turns)};
  return shape;
}

nlohmann::json AcmConfig::to_json() const {
  nlohmann::json names = nlohmann::json::array();
  for (MapKind kind : kinds) names.push_back(to_string(kind));
  return {{"maps", names},
          {"learners", learners},
          {"minimum_mlp", minimum_mlp},
          {"minimum_projection", minimum_projection},
          {"gate", gate == GateKind::kLearned ? "learned" : "static"},
          {"gate_hidden", gate_hidden},
          {"temperature", temperature}};
}

void AcmConfig::check(const std::string& where) const {
  if (kinds.empty())
    fail("{}: no maps to make adaptive; name at least one of mlp, query, key, value, output",
         where);
  if (learners < 1 || learners > 4096)
    fail("{}: learners is {}; it must be in 1..4096", where, learners);
  for (int64_t minimum : {minimum_mlp, minimum_projection}) {
    if (minimum < 0 || minimum > learners) {
      fail("{}: a minimum of {} learners is outside 0..{}", where, minimum, learners);
    }
  }
  if (gate_hidden < 1) fail("{}: gate_hidden is {}; it must be at least 1", where, gate_hidden);
  if (!(temperature > 0)) fail("{}: temperature is {}; it must be above 0", where, temperature);
}

AcmConfig AcmConfig::from_json(const nlohmann::json& object, const std::string& where) {
  AcmConfig config;
  if (!object.contains("maps") || !object["maps"].is_array()) {
    fail("{}: field \"maps\" must be a list of mlp, query, key, value, output", where);
  }
  config.kinds.clear();
  for (const nlohmann::json& name : object["maps"]) {
    config.kinds.push_back(
        map_kind(name.is_string() ? name.get<std::string>() : name.dump(), where));
  }
  config.learners = integer_field(object, "learners", where);
  config.minimum_mlp = integer_field(object, "minimum_mlp", where);
  config.minimum_projection = integer_field(object, "minimum_projection", where);
  const std::string gate = string_field(object, "gate", where);
  if (gate != "learned" && gate != "static") {
    fail("{}: gate is \"{}\"; it must be \"learned\" or \"static\"", where, gate);
  }
  config.gate = gate == "learned" ? GateKind::kLearned : GateKind::kStatic;
  config.gate_hidden = integer_field(object, "gate_hidden", where);
  config.temperature = number_field(object, "temperature", where);
  config.check(where);
  return config;
}

std::string acm_prefix(const MapSpec& spec) { return "acm." + spec.site; }

MapBuilder acm_builder(const AcmConfig& config, std::vector<Acm*>* made) {
  return [config, made](const MapSpec& spec, Parameters& parameters) -> std::unique_ptr<TokenMap> {
    if (!config.covers(spec.kind)) return dense_map(spec, parameters);
    auto acm = std::make_unique<Acm>(config.shape(spec), spec.site, acm_prefix(spec), parameters);
    made->push_back(acm.get());
    return acm;
  };
}

}  // namespace pace
