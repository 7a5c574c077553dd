#include "pace/adaptive/experts.h"

#include <fmt/format.h>

#include <algorithm>

#include "pace/adaptive/part.h"
#include "pace/base/error.h"
#include "pace/io/json.h"

namespace pace {

namespace {

constexpr int64_t kMostExperts = 4096;

bool covers(const ExpertsConfig& config, const MapSpec& spec) {
  return spec.kind == MapKind::kMlp && std::ranges::count(config.blocks, spec.block) > 0;
}

/// The dense MLP's shape with an expert's tensors.
MapSpec expert_spec(const MapSpec& spec, int64_t expert) {
  constexpr const char* kParts[] = {"in", "out", "gate"};
  MapSpec own = spec;
  for (size_t i = 0; i < own.dense_names.size(); ++i) {
    own.dense_names[i] = fmt::format("experts.{}.{}.{}", spec.block, expert, kParts[i]);
  }
  return own;
}

}  // namespace

std::vector<double> ExpertsConfig::wanted() const {
  std::vector<double> shares(static_cast<size_t>(experts),
                             (1.0 - no_op) / static_cast<double>(experts));
  if (no_op > 0.0) shares.push_back(no_op);
  return shares;
}

void ExpertsConfig::check(int64_t blocks_of_model) const {
  if (experts < 1 || experts > kMostExperts) {
    fail("{} experts in the place of an MLP; it must be 1..{}", experts, kMostExperts);
  }
  if (!(no_op >= 0.0 && no_op < 1.0)) {
    fail("a no-op for {} of the tokens; the share must be in (0, 1), or 0 for no no-op", no_op);
  }
  if (blocks.empty()) fail("no blocks to put experts into; name some, or all");
  for (const int64_t block : blocks) {
    if (block < 0 || block >= blocks_of_model) {
      fail("block {} is to have experts, but the model's are 0..{}", block, blocks_of_model - 1);
    }
    if (std::ranges::count(blocks, block) > 1) fail("block {} is to have experts twice", block);
  }
}

nlohmann::json ExpertsConfig::to_json() const {
  return {{"experts", experts}, {"blocks", blocks}, {"no_op", no_op}};
}

ExpertsConfig ExpertsConfig::from_json(const nlohmann::json& object, const std::string& where) {
  ExpertsConfig config;
  config.experts = integer_field(object, "experts", where);
  config.blocks = integers_field(object, "blocks", where);
  config.no_op = number_field(object, "no_op", where, 0.0);
  return config;
}

Experts::Experts(const ExpertsConfig& config, const MapSpec& spec, Parameters& parameters)
    : block_(spec.block),
      width_(spec.out),
      weight_(parameters.add(fmt::format("experts.{}.router.weight", spec.block),
                             {std::ssize(config.wanted()), spec.in},
                             Initial::normal(spec.deviation))),
      router_(weight_, Tensor()) {
  for (int64_t expert = 0; expert < config.experts; ++expert) {
    experts_.push_back(dense_map(expert_spec(spec, expert), parameters));
  }
}

/// float32 [rows, choices], whose products half precision could not hold.
Tensor Experts::logits(const Tensor& tokens, Pass& pass) const {
  pass.ledger.charge_tokens(static_cast<double>(weight_.numel()));
  pass.ledger.charge_deciding(static_cast<double>(weight_.numel() * tokens.size(0)));
  if (kernels::runs_own_kernels(tokens)) return router_.forward(tokens, pass.context);
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return kernels::linear(tokens.to(at::kFloat), weight_, {}, pass.context);
}

/// The numbers of the choices, int64 [rows].
Tensor Experts::choose(const Tensor& logits, double price) const {
  const int64_t experts = std::ssize(experts_);
  const auto [best, expert] = logits.detach().narrow(1, 0, experts).max(1);
  if (logits.size(1) == experts) return expert;
  const Tensor nothing = logits.detach().select(1, experts).ge(best - price);
  return expert.masked_fill(nothing, experts);
}

Tensor Experts::forward(const Tensor& tokens, Pass& pass) const {
  const Tensor logits = this->logits(tokens, pass), choice = choose(logits, pass.price);
  const Tensor probabilities = logits.softmax(1);
  pass.ledger.record(Dispatch{block_, choice, probabilities, std::ssize(experts_)});
  const Tensor weight =
      probabilities.gather(1, choice.unsqueeze(1)) * static_cast<double>(logits.size(1));
  Tensor out = at::zeros({tokens.size(0), width_}, weight.options());
  for (size_t expert = 0; expert < experts_.size(); ++expert) {
    const Tensor rows = choice.eq(static_cast<int64_t>(expert)).nonzero().flatten();
    if (rows.numel() == 0) continue;
    const Part part(rows, pass);
    const Tensor given = experts_[expert]->forward(tokens.index_select(0, rows), pass);
    out.index_copy_(0, rows, weight.index_select(0, rows) * given);
  }
  return out;
}

MapBuilder experts_builder(const ExpertsConfig& config) {
  return [config](const MapSpec& spec, Parameters& parameters) -> std::unique_ptr<TokenMap> {
    if (!covers(config, spec)) return dense_map(spec, parameters);
    return std::make_unique<Experts>(config, spec, parameters);
  };
}

std::map<std::string, std::string> dense_origins(const ExpertsConfig& config,
                                                 const std::vector<MapSpec>& maps) {
  std::map<std::string, std::string> origins;
  for (const MapSpec& spec : maps) {
    if (!covers(config, spec)) continue;
    for (int64_t expert = 0; expert < config.experts; ++expert) {
      const std::vector<std::string> own = expert_spec(spec, expert).dense_names;
      for (size_t i = 0; i < own.size(); ++i) {
        for (const char* part : {".weight", ".bias"}) {
          origins[own[i] + part] = spec.dense_names[i] + part;
        }
      }
    }
  }
  return origins;
}

}  // namespace pace
