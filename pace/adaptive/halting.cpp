#include "pace/adaptive/halting.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "pace/base/error.h"
#include "pace/io/model_folder.h"
#include "pace/kernels/positions.h"

namespace pace {

namespace {

constexpr HaltingMethod kMethods[] = {HaltingMethod::kAct, HaltingMethod::kSact,
                                      HaltingMethod::kPact, HaltingMethod::kSpatialPact};
constexpr double kEpsilon = 0.01;           ///< what may be missing from 1 when ACT stops
constexpr double kTemperature = 2.0 / 3.0;  ///< of Concrete samples

/// One number for each picture or position -> a column of one for each row.
Tensor by_row(const Tensor& units, const kernels::Grid& grid) {
  const bool positions = units.size(0) == grid.rows();
  return (positions ? units : units.repeat_interleave(grid.positions())).unsqueeze(1);
}

}  // namespace

const char* to_string(HaltingMethod method) {
  switch (method) {
    case HaltingMethod::kAct:
      return "act";
    case HaltingMethod::kSact:
      return "sact";
    case HaltingMethod::kPact:
      return "pact";
    case HaltingMethod::kSpatialPact:
      return "spatial-pact";
  }
  fail("there is no halting method with number {}", static_cast<int>(method));
}

HaltingMethod halting_method(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const HaltingMethod method : kMethods) {
    if (name == to_string(method)) return method;
    known.emplace_back(to_string(method));
  }
  fail("{}: there is no halting method '{}'; there are {}", where, name, fmt::join(known, ", "));
}

nlohmann::json HaltingConfig::to_json() const { return {{"method", to_string(method)}}; }

HaltingConfig HaltingConfig::from_json(const nlohmann::json& object, const std::string& where) {
  if (!object.is_object()) fail("{} must be an object, but is {}", where, object.type_name());
  return {halting_method(string_field(object, "method", where), where)};
}

/// The halting logits after one unit.
class StageHalting::Score {
 public:
  Score(const HaltingConfig& config, const DepthSpec& spec, const std::string& name,
        Parameters& parameters)
      : score_(make(config, spec, name, parameters)), begin_(spec.begin), dim_(spec.dim) {}

  /// Of all pictures or positions, differentiable.
  Tensor everywhere(const Tensor& states, Pass& pass) const {
    const int64_t positions = pass.grid.positions() * score_.position_macs();
    const auto macs = static_cast<double>(score_.mean_macs() + positions);
    pass.ledger.charge(macs);
    pass.ledger.charge_deciding(macs * static_cast<double>(pass.grid.pictures));
    return score_.forward(seen(states), pass.grid, pass.context).to(at::kFloat);
  }

  /// Of these only, int64 in rising order: float on the CPU.
  Tensor at(const Tensor& units, const Tensor& states, Pass& pass) const {
    const kernels::Grid& grid = pass.grid;
    std::vector<int64_t> counts(static_cast<size_t>(grid.pictures), 0);
    if (score_.by_position()) {
      counts = kernels::count_by_picture(units, grid);
      pass.ledger.charge(counts, static_cast<double>(score_.position_macs()));
      for (int64_t& count : counts) count = std::min<int64_t>(count, 1);
    } else {
      const int64_t* pictures = units.const_data_ptr<int64_t>();
      for (int64_t i = 0; i < units.numel(); ++i) counts[static_cast<size_t>(pictures[i])] = 1;
    }
    pass.ledger.charge(counts, static_cast<double>(score_.mean_macs()));
    const auto pictures = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    pass.ledger.charge_deciding(static_cast<double>(units.numel() * score_.position_macs() +
                                                    pictures * score_.mean_macs()));
    return score_.forward_at(units, seen(states), grid, pass.context).to(at::kCPU, at::kFloat);
  }

 private:
  static kernels::MapScore make(const HaltingConfig& config, const DepthSpec& spec,
                                const std::string& name, Parameters& parameters) {
    constexpr double kBias = -3.0, kDeviation = 0.01;
    const auto [weight, bias] =
        add_linear(name + "pool", spec.dim, 1, kDeviation, parameters, kBias);
    if (!config.by_position()) return {weight, bias, {}};
    return {weight, bias,
            parameters.add(name + "conv.weight", {1, spec.dim, 3, 3}, Initial::normal(kDeviation))};
  }

  Tensor seen(const Tensor& states) const {
    return states.size(1) == dim_ ? states : states.narrow(1, begin_, dim_).contiguous();
  }

  kernels::MapScore score_;
  int64_t begin_, dim_;  ///< of the columns that are seen
};

/// What the relaxed form keeps of every picture or position on the way through the units.
class StageHalting::Steps {
 public:
  explicit Steps(const Tensor& like)
      : running_(at::ones_like(like)), cost_(at::zeros_like(like)), units_(at::zeros_like(like)) {}
  virtual ~Steps() = default;
  /// The weight of the state after unit `number` (from 1) in the result, given its halting logits;
  /// undefined after the last unit.
  virtual Tensor weigh(const Tensor& logits, int64_t number, Pass& pass) = 0;

  const Tensor& running() const { return running_; }  ///< the share that runs the next unit
  const Tensor& cost() const { return cost_; }
  Tensor units() const { return units_.to(at::kLong); }

 protected:
  Tensor running_, cost_, units_;
};

class StageHalting::Accumulated : public StageHalting::Steps {
 public:
  explicit Accumulated(const Tensor& like) : Steps(like), sum_(at::zeros_like(like)) {}

  Tensor weigh(const Tensor& logits, int64_t /*number*/, Pass& /*pass*/) override {
    const Tensor rest = 1.0 - sum_;
    const Tensor halting = logits.defined() ? logits.sigmoid() : at::ones_like(rest);
    const Tensor stops = (sum_ + halting).ge(1.0 - kEpsilon).to(rest.scalar_type()).detach();
    units_ = units_ + running_;
    cost_ = cost_ + running_ * (1.0 + stops * rest);
    const Tensor weight = running_ * (stops * rest + (1.0 - stops) * halting);
    sum_ = sum_ + running_ * halting;
    running_ = running_ * (1.0 - stops);
    return weight;
  }

 private:
  Tensor sum_;  ///< of the halting scores so far
};

class StageHalting::Latent : public StageHalting::Steps {
 public:
  explicit Latent(const Tensor& like) : Steps(like), awake_(at::ones_like(like)) {}

  Tensor weigh(const Tensor& logits, int64_t number, Pass& pass) override {
    const Tensor drawn = logits.defined() ? sample(logits, pass) : at::ones_like(running_);
    const Tensor weight = running_ * drawn;
    cost_ = cost_ + static_cast<double>(number) * weight;
    running_ = running_ - weight;
    units_ = units_ + awake_;
    awake_ = awake_ * drawn.detach().lt(0.5);
    return weight;
  }

 private:
  static Tensor sample(const Tensor& logits, Pass& pass) {
    if (pass.noise == 0.0) return (logits / kTemperature).sigmoid();
    constexpr double kEdge = 1e-6;
    const Tensor uniform = at::rand(logits.sizes(), pass.generator, logits.options());
    const Tensor draw = uniform.clamp(kEdge, 1.0 - kEdge).logit();
    return ((logits + pass.noise * draw) / kTemperature).sigmoid();
  }

  Tensor awake_;  ///< 1 until a sample says to stop
};

StageHalting::StageHalting(const HaltingConfig& config, const DepthSpec& spec,
                           Parameters& parameters)
    : config_(config), spec_(spec) {
  if (spec.stage.empty()) {
    fail("halting method '{}' is for residual networks and LSTMs", to_string(config.method));
  }
  if (config.by_position() && !spec.maps) {
    fail("halting method '{}' is for feature maps; without any, there are act and pact",
         to_string(config.method));
  }
  if (!spec.maps && spec.blocks < 2) {
    fail("ponder_steps is {}; with halting, time steps are computed twice at least", spec.blocks);
  }
  for (int64_t unit = 0; unit + 1 < spec.blocks; ++unit) {
    const std::string name = fmt::format("halting.{}.{}.", spec.stage, unit);
    scores_.push_back(std::make_unique<Score>(config, spec, name, parameters));
  }
}

StageHalting::~StageHalting() = default;

Tensor StageHalting::run(const Tensor& states, const Stack& stack, Pass& pass) const {
  const Tensor given =
      pass.form == Form::kRelaxed ? relaxed(states, stack, pass) : executed(states, stack, pass);
  return stack.readout(given, pass);
}

Tensor StageHalting::relaxed(const Tensor& states, const Stack& stack, Pass& pass) const {
  Tensor current = stack.blocks[0]->forward(states, pass);
  const kernels::Grid grid = pass.grid;
  const int64_t count = config_.by_position() ? grid.rows() : grid.pictures;
  const Tensor like = at::empty({count}, current.options().dtype(at::kFloat));
  std::unique_ptr<Steps> steps;
  if (config_.accumulates()) {
    steps = std::make_unique<Accumulated>(like);
  } else {
    steps = std::make_unique<Latent>(like);
  }
  Tensor result;
  for (int64_t unit = 0; unit < spec_.blocks; ++unit) {
    const auto index = static_cast<size_t>(unit);
    if (unit > 0) {
      const Tensor next = stack.blocks[index]->forward(current, pass);
      const Tensor running = by_row(steps->running(), grid);
      current = config_.by_position() ? at::addcmul(current, running, next - current) : next;
    }
    Tensor logits;
    if (index < scores_.size()) logits = scores_[index]->everywhere(current, pass) + pass.price;
    const Tensor weight = by_row(steps->weigh(logits, unit + 1, pass), grid);
    result = result.defined() ? at::addcmul(result, weight, current) : weight * current;
  }
  pass.ledger.record(Ponder{spec_.stage, steps->units(), steps->cost(), grid, spec_.blocks});
  return result;
}

namespace {

/// The pictures or positions that go on, and ACT's sum of halting scores of each.
struct Going {
  Tensor units;             ///< int64
  std::vector<float> sums;  ///< empty but for ACT
};

/// Whether each stops after a unit, PACT: at a halting score of 1/2.
std::vector<uint8_t> stopping(const Tensor& logits, double price) {
  std::vector<uint8_t> stops(static_cast<size_t>(logits.numel()));
  const float* logit = logits.const_data_ptr<float>();
  const auto raise = static_cast<float>(price);
  for (size_t i = 0; i < stops.size(); ++i) stops[i] = logit[i] + raise >= 0.0F;
  return stops;
}

/// ACT: as the sum of halting scores says. `weights`, float [units], become those of the states.
std::vector<uint8_t> stopping(const Tensor& logits, double price, std::vector<float>& sums,
                              Tensor& weights) {
  std::vector<uint8_t> stops(sums.size());
  weights = at::empty({logits.numel()}, at::kFloat);
  const float* logit = logits.const_data_ptr<float>();
  float* weight = weights.mutable_data_ptr<float>();
  const auto raise = static_cast<float>(price);
  for (size_t i = 0; i < stops.size(); ++i) {
    // LibTorch's sigmoid has other bits at the end of a tensor than within.
    const float halting = 1.0F / (1.0F + std::exp(-(logit[i] + raise)));
    stops[i] = sums[i] + halting >= static_cast<float>(1.0 - kEpsilon);
    weight[i] = stops[i] ? 1.0F - sums[i] : halting;
    sums[i] += halting;
  }
  return stops;
}

/// Takes those out that stop after unit `number`, which is noted in `ran`. Without branches, which
/// nothing could foretell.
void leave(Going& running, const std::vector<uint8_t>& stops, int64_t number, int64_t* ran) {
  if (!std::memchr(stops.data(), 1, stops.size())) return;
  const int64_t* units = running.units.const_data_ptr<int64_t>();
  Tensor left = at::empty_like(running.units);
  int64_t* to = left.mutable_data_ptr<int64_t>();
  size_t kept = 0;
  for (size_t i = 0; i < stops.size(); ++i) {
    ran[units[i]] = stops[i] ? number : ran[units[i]];
    to[kept] = units[i];
    if (!running.sums.empty()) running.sums[kept] = running.sums[i];
    kept += 1 - stops[i];
  }
  running.units = left.narrow(0, 0, static_cast<int64_t>(kept));
  if (!running.sums.empty()) running.sums.resize(kept);
}

}  // namespace

Tensor StageHalting::executed(const Tensor& states, const Stack& stack, Pass& pass) const {
  const Tensor given = pass.active;  // those that run at all
  Tensor current = stack.blocks[0]->forward(states, pass);
  const kernels::Grid grid = pass.grid;
  const bool positions = config_.by_position();
  const Tensor everyone = at::arange(positions ? grid.rows() : grid.pictures, at::kLong);
  Going running{given.defined() ? given : everyone, {}};
  Tensor units = at::full_like(everyone, spec_.blocks), result;
  int64_t* ran = units.mutable_data_ptr<int64_t>();
  if (config_.accumulates()) {
    running.sums.assign(static_cast<size_t>(running.units.numel()), 0.0F);
    result = given.defined() ? current.index_fill(0, given.to(current.device()), 0.0)
                             : at::zeros_like(current);
  }
  const auto rows_of = [&](const Tensor& some) {
    return positions ? some : kernels::rows_of_pictures(some, grid);
  };
  const auto add = [&](const Tensor& some, const Tensor& weights) {
    const Tensor each = positions ? weights : weights.repeat_interleave(grid.positions());
    kernels::add_weighted(rows_of(some), each, current, result);
  };
  for (size_t unit = 0; unit < scores_.size() && running.units.numel() > 0; ++unit) {
    const Tensor before = running.units;
    const Tensor logits = scores_[unit]->at(before, current, pass);
    Tensor weights;
    const std::vector<uint8_t> stops = result.defined()
                                           ? stopping(logits, pass.price, running.sums, weights)
                                           : stopping(logits, pass.price);
    leave(running, stops, static_cast<int64_t>(unit) + 1, ran);
    if (result.defined()) add(before, weights);
    if (running.units.numel() == 0) break;
    // Where nothing has halted, lists would only cost time.
    const bool everything = running.units.numel() == everyone.numel();
    pass.active = everything ? Tensor() : rows_of(running.units);
    current = stack.blocks[unit + 1]->forward(current, pass);
  }
  pass.active = given;
  if (result.defined() && running.units.numel() > 0) {
    add(running.units, 1.0 - at::tensor(running.sums));
  }
  pass.ledger.record(Ponder{spec_.stage, units, {}, grid, spec_.blocks});
  return result.defined() ? result : current;
}

DepthBuilder halting_builder(const HaltingConfig& config) {
  return [config](const DepthSpec& spec, Parameters& parameters) {
    return std::make_unique<StageHalting>(config, spec, parameters);
  };
}

}  // namespace pace
