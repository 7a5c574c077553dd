#include "pace/adaptive/mod.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "pace/adaptive/part.h"
#include "pace/base/error.h"
#include "pace/base/random.h"
#include "pace/io/json.h"
#include "pace/kernels/linear.h"

namespace pace {

namespace {

constexpr CausalRouting kCausal[] = {CausalRouting::kPredictor, CausalRouting::kAuxiliary};

/// A number in (0, 1) for each row that depends only on the block and the token's position.
Tensor uniform_by_position(int64_t block, const Tensor& positions) {
  Tensor numbers = at::empty(positions.sizes(), at::kFloat);
  const Tensor own = positions.contiguous();
  const int64_t* position = own.const_data_ptr<int64_t>();
  float* number = numbers.mutable_data_ptr<float>();
  for (int64_t i = 0; i < own.numel(); ++i) {
    std::mt19937_64 random =
        random_for({static_cast<uint64_t>(block), static_cast<uint64_t>(position[i])});
    number[i] = std::uniform_real_distribution<float>(1e-6F, 1.0F - 1e-6F)(random);
  }
  return numbers;
}

/// The numbers of the rows of the greatest scores in each sequence, int64 in rising order.
Tensor greatest(const Tensor& scores, double capacity, const kernels::Sequences& sequences) {
  std::vector<Tensor> chosen;
  for (int64_t i = 0; i < sequences.count(); ++i) {
    const int64_t length = sequences.length(i), begin = sequences.begin(i);
    if (length == 0) continue;
    const Tensor own = scores.narrow(0, begin, length);
    const Tensor best = std::get<1>(own.topk(Mod::room(capacity, length), 0, true, false));
    chosen.push_back(std::get<0>(best.sort(0)) + begin);
  }
  return at::cat(chosen);
}

}  // namespace

const char* to_string(CausalRouting causal) {
  switch (causal) {
    case CausalRouting::kPredictor:
      return "predictor";
    case CausalRouting::kAuxiliary:
      return "auxiliary";
  }
  fail("there is no causal routing with number {}", static_cast<int>(causal));
}

CausalRouting causal_routing(const std::string& name, const std::string& where) {
  for (const CausalRouting causal : kCausal) {
    if (name == to_string(causal)) return causal;
  }
  fail("{}: there is no causal routing '{}'; there are predictor and auxiliary", where, name);
}

std::vector<int64_t> ModConfig::every_other(int64_t blocks) {
  std::vector<int64_t> numbers;
  for (int64_t block = 1; block < blocks; block += 2) numbers.push_back(block);
  return numbers;
}

nlohmann::json ModConfig::to_json() const {
  return {{"capacity", capacity},
          {"blocks", blocks},
          {"causal", to_string(causal)},
          {"offset", offset},
          {"random", random}};
}

ModConfig ModConfig::from_json(const nlohmann::json& object, const std::string& where) {
  if (!object.is_object()) fail("{} must be an object, but is {}", where, object.type_name());
  ModConfig config;
  config.capacity = number_field(object, "capacity", where, config.capacity);
  config.causal = causal_routing(string_field(object, "causal", where), where + ".causal");
  config.offset = number_field(object, "offset", where, 0.0);
  config.random = bool_field(object, "random", where, false);
  config.blocks = integers_field(object, "blocks", where);
  return config;
}

/// What decides for one block.
class Mod::Route {
 public:
  Route(const ModConfig& config, const DepthSpec& spec, int64_t block, Parameters& parameters)
      : config_(config), block_(block), dim_(spec.dim), hidden_(std::max<int64_t>(8, dim_ / 8)) {
    if (config.random) return;
    const std::string name = fmt::format("mod.{}.", block);
    // From zero where blocks are to begin as they were.
    weight_ =
        parameters.add(name + "router.weight", {1, dim_},
                       config.offset == 0.0 ? Initial::normal(spec.deviation) : Initial::zeros());
    router_ = std::make_unique<kernels::Linear>(weight_, Tensor());
    if (config.causal != CausalRouting::kPredictor) return;
    const auto layer = [&](const char* part, int64_t in, int64_t out) {
      const auto [weight, bias] = add_linear(name + part, in, out, spec.deviation, parameters);
      return std::make_unique<kernels::Linear>(weight, bias);
    };
    in_ = layer("predictor.in", dim_, hidden_);
    out_ = layer("predictor.out", hidden_, 1);
  }

  int64_t block() const { return block_; }
  bool has_router() const { return router_ != nullptr; }

  /// w x of all rows, float32, whose products half precision could not hold: [rows].
  Tensor router(const Tensor& states, Pass& pass) const {
    charge(dim_, states, pass);
    if (kernels::runs_own_kernels(states)) {
      return router_->forward(states, pass.context).flatten();
    }
    pass.context.macs += states.numel();
    return (states.to(at::kFloat) * weight_).sum(1);
  }

  /// What tokens compete with: [rows].
  Tensor scores(const Tensor& states, Pass& pass) const {
    if (router_) return router(states, pass);
    if (pass.generator.defined()) {
      return at::rand({states.size(0)}, pass.generator, states.options().dtype(at::kFloat));
    }
    return -uniform_by_position(block_, pass.positions).to(states.device());
  }

  /// What judges each token by itself, given w x where that is known: [rows].
  Tensor causal(const Tensor& states, const Tensor& known, Pass& pass) const {
    if (in_) {
      charge(hidden_ * (dim_ + 1), states, pass);
      // What it learns moves nothing else.
      const Tensor hidden = in_->forward(states.detach(), pass.context, kernels::Activation::kGelu);
      return out_->forward(hidden, pass.context).flatten().to(at::kFloat);
    }
    if (router_) return known.defined() ? known : router(states, pass);
    const Tensor uniform = uniform_by_position(block_, pass.positions).to(states.device());
    return std::log(config_.capacity / (1.0 - config_.capacity + 1e-9)) - uniform.logit();
  }

 private:
  static void charge(int64_t macs, const Tensor& states, Pass& pass) {
    pass.ledger.charge_tokens(static_cast<double>(macs));
    pass.ledger.charge_deciding(static_cast<double>(macs * states.size(0)));
  }

  const ModConfig& config_;
  int64_t block_, dim_, hidden_;
  Tensor weight_;
  std::unique_ptr<kernels::Linear> router_, in_, out_;  ///< null where there is none
};

Mod::Mod(const ModConfig& config, const DepthSpec& spec, Parameters& parameters)
    : config_(config), routes_(static_cast<size_t>(spec.blocks)) {
  if (!(config.capacity > 0.0 && config.capacity <= 1.0)) {
    fail("a capacity of {}; it is the share of a sequence's tokens, in (0, 1]", config.capacity);
  }
  if (config.blocks.empty()) fail("no blocks to route tokens round; name some, or all");
  for (const int64_t block : config.blocks) {
    if (block < 0 || block >= spec.blocks) {
      fail("block {} is to be routed, but the model's are 0..{}", block, spec.blocks - 1);
    }
    std::unique_ptr<Route>& route = routes_[static_cast<size_t>(block)];
    if (route) fail("block {} is to be routed twice", block);
    route = std::make_unique<Route>(config_, spec, block, parameters);
  }
}

Mod::~Mod() = default;

int64_t Mod::room(double capacity, int64_t length) {
  const auto share = static_cast<int64_t>(std::llround(capacity * static_cast<double>(length)));
  return std::clamp<int64_t>(share, 1, length);
}

Tensor Mod::run(const Tensor& states, const Stack& stack, Pass& pass) const {
  Tensor current = states;
  const auto blocks = std::ssize(stack.blocks), always = blocks - std::ssize(config_.blocks);
  for (size_t i = 0; i < stack.blocks.size(); ++i) {
    const Block& block = *stack.blocks[i];
    current =
        routes_[i] ? pass_by(*routes_[i], block, current, pass) : block.forward(current, pass);
  }
  Tensor ran = at::full({states.size(0)}, always, states.options().dtype(at::kLong));
  for (const Routing& routing : pass.ledger.routings()) ran = ran + routing.chosen;
  const kernels::Grid tokens{states.size(0), 1, 1};
  pass.ledger.record(
      Ponder{.stage = "blocks", .units = ran, .grid = tokens, .most = blocks, .least = always});
  return stack.readout(current, pass);
}

Tensor Mod::pass_by(const Route& route, const Block& block, const Tensor& states,
                    Pass& pass) const {
  const bool relaxed = pass.form == Form::kRelaxed, competes = relaxed || pass.compete;
  Tensor known, causal, rows;
  if (competes) {
    known = route.scores(states, pass);
    rows = greatest(known, std::lerp(config_.capacity, 1.0, pass.slack), pass.sequences);
  }
  if (!competes || (relaxed && route.has_router())) causal = route.causal(states, known, pass);
  if (!competes) rows = causal.ge(pass.price).nonzero().flatten();
  Routing routing{route.block(), at::zeros({states.size(0)}, rows.options().dtype(at::kBool)), {}};
  routing.chosen.index_fill_(0, rows, true);
  if (relaxed) routing.logits = causal;
  pass.ledger.record(std::move(routing));
  if (rows.numel() == 0) return states;

  const Tensor selected = states.index_select(0, rows);
  const Part part(rows, pass);
  const Tensor after = block.forward(selected, pass);
  if (!route.has_router()) return states.index_copy(0, rows, after);
  if (!competes) known = route.router(selected, pass);
  const Tensor weight = (competes ? known.index_select(0, rows) : known) + config_.offset;
  return states.index_copy(
      0, rows, (selected + weight.unsqueeze(1) * (after - selected)).to(states.dtype()));
}

DepthBuilder mod_builder(const ModConfig& config) {
  return [config](const DepthSpec& spec, Parameters& parameters) {
    return std::make_unique<Mod>(config, spec, parameters);
  };
}

}  // namespace pace
