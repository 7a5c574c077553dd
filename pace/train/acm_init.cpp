#include "pace/train/acm_init.h"

#include <ATen/core/grad_mode.h>

#include "pace/base/error.h"

namespace pace {

namespace {

/// Where GELU begins to be the identity for a variable of unit deviation: |GELU(x) - x| < 0.05
/// above 2, and 2 deviations below this shift lies there.
constexpr double kLinearRange = 4.0;

/// Running mean and (co)variance of the rows seen.
class Moments {
 public:
  void add(const Tensor& rows, bool covariance) {
    const Tensor values = rows.to(at::kDouble);
    const Tensor square = covariance ? values.t().matmul(values) : values.square().sum(0);
    sum_ = sum_.defined() ? sum_ + values.sum(0) : values.sum(0);
    square_ = square_.defined() ? square_ + square : square;
    count_ += static_cast<double>(rows.size(0));
  }
  Tensor mean() const { return sum_ / count_; }
  /// [n] if added without, [n, n] with covariance.
  Tensor variance() const {
    const Tensor m = mean();
    return square_ / count_ - (square_.dim() == 2 ? at::outer(m, m) : m.square());
  }

 private:
  Tensor sum_, square_;
  double count_ = 0.0;
};

/// What is measured of one map.
struct Statistics {
  MapSpec spec;
  Moments input;   ///< for the gate
  Moments inside;  ///< hidden units of an MLP, output covariance of a projection
};

std::map<std::string, Statistics> measure(const Teacher& teacher, Loader& loader,
                                          int64_t examples) {
  std::map<std::string, Statistics> statistics;
  const Parameters& weights = teacher.model().parameters();
  const Tap tap = [&](const MapSpec& spec, const Tensor& input, const Tensor& output) {
    Statistics& entry = statistics[spec.site];
    entry.spec = spec;
    entry.input.add(input, false);
    if (spec.kind != MapKind::kMlp) return entry.inside.add(output, true);
    const std::string& first = spec.dense_names[0];
    entry.inside.add(kernels::activate(at::linear(input, weights.at(first + ".weight"),
                                                  weights.at(first + ".bias")),
                                       spec.activation),
                     false);
  };
  loader.start(0);
  for (int64_t seen = 0; seen < examples;) {
    const std::optional<Batch> batch = loader.next();
    if (!batch) break;
    teacher.run(batch->inputs, tap);
    seen += batch->inputs.size(0);
  }
  return statistics;
}

using Prefixed = std::vector<std::pair<std::string, Tensor>>;

Prefixed ordered_mlp(const Statistics& entry, const Parameters& weights) {
  const std::string &first = entry.spec.dense_names[0], &second = entry.spec.dense_names[1];
  const Tensor out = weights.at(second + ".weight");
  const Tensor importance =
      entry.inside.variance().to(at::kFloat) * out.square().sum(0);  // [hidden]
  const Tensor order = importance.argsort(/*dim=*/0, /*descending=*/true);
  const Tensor out_weight = out.index_select(1, order);
  const Tensor mean = entry.inside.mean().to(at::kFloat).index_select(0, order);
  return {{"in_weight", weights.at(first + ".weight").index_select(0, order)},
          {"in_bias", weights.at(first + ".bias").index_select(0, order)},
          {"centre", mean},
          {"out_weight", out_weight},
          {"bias", weights.at(second + ".bias") + out_weight.mv(mean)}};
}

Prefixed ordered_projection(const Statistics& entry, const AcmShape& shape,
                            const Parameters& weights) {
  const int64_t rank = shape.stacked() * shape.width;
  const Tensor weight = weights.at(entry.spec.dense_names[0] + ".weight").to(at::kDouble);
  const auto [values, vectors] = at::linalg_eigh(entry.inside.variance());  // rising
  const Tensor directions = vectors.flip(1).narrow(1, 0, rank);             // [out, rank]
  const Tensor floor = values.max().clamp_min(1e-12) * 1e-8;
  const Tensor deviation = values.flip(0).narrow(0, 0, rank).maximum(floor).sqrt();

  const Tensor mean = entry.inside.mean();
  Tensor shift = -mean;
  if (entry.spec.bias) {
    shift = shift + weights.at(entry.spec.dense_names[0] + ".bias").to(at::kDouble);
  }
  return {{"in_weight", directions.t().matmul(weight) / deviation.unsqueeze(1)},
          {"in_bias", directions.t().matmul(shift) / deviation + kLinearRange},
          {"centre", at::full({rank}, kLinearRange)},
          {"out_weight", directions * deviation},
          {"bias", mean}};
}

/// The dense map that a projection keeps as its last choice.
void keep_dense(const MapSpec& spec, const Parameters& weights, TensorMap& tensors) {
  const std::string prefix = acm_prefix(spec), &dense = spec.dense_names[0];
  if (!tensors.contains(prefix + ".dense_weight")) return;
  tensors[prefix + ".dense_weight"] = weights.at(dense + ".weight").detach();
  if (spec.bias) tensors[prefix + ".dense_bias"] = weights.at(dense + ".bias").detach();
}

/// The gate's first layer, drawn for inputs of unit variance, made to see the input standardised.
void standardize_gate(const Statistics& entry, const std::string& prefix, TensorMap& tensors) {
  const auto found = tensors.find(prefix + ".gate.in_weight");
  if (found == tensors.end()) return;
  const Tensor deviation = entry.input.variance().clamp_min(1e-12).sqrt().to(at::kFloat);
  found->second = found->second / deviation;
  tensors[prefix + ".gate.in_bias"] = -found->second.mv(entry.input.mean().to(at::kFloat));
}

}  // namespace

TensorMap initial_weights(const Teacher& teacher, const AcmConfig& acm, InitKind kind,
                          Loader& loader, int64_t examples, uint64_t seed) {
  const at::NoGradGuard no_grad;
  const Parameters& weights = teacher.model().parameters();
  // Everything begins at random and in one fixed order of drawing; the ordered start then replaces
  // it.
  Parameters fresh(
      no_weights(), [](const std::string&) { return true; }, seed);
  std::vector<Acm*> made;
  std::vector<std::unique_ptr<TokenMap>> modules;
  const MapBuilder builder = acm_builder(acm, &made);
  for (const MapSpec& spec : teacher.model().maps()) {
    if (acm.covers(spec.kind)) modules.push_back(builder(spec, fresh));
  }
  TensorMap tensors;
  for (const auto& [name, tensor] : fresh.all()) tensors[name] = tensor.detach();
  for (const MapSpec& spec : teacher.model().maps()) keep_dense(spec, weights, tensors);
  if (kind == InitKind::kRandom) return tensors;

  for (const auto& [site, entry] : measure(teacher, loader, examples)) {
    const std::string prefix = acm_prefix(entry.spec);
    const AcmShape shape = acm.shape(entry.spec);
    const Prefixed parts = entry.spec.kind == MapKind::kMlp
                               ? ordered_mlp(entry, weights)
                               : ordered_projection(entry, shape, weights);
    for (const auto& [name, tensor] : parts) {
      tensors[prefix + "." + name] = tensor.to(at::kFloat).contiguous();
    }
    standardize_gate(entry, prefix, tensors);
  }
  return tensors;
}

}  // namespace pace
