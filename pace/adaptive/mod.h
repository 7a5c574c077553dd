#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "pace/adaptive/seams.h"

namespace pace {

/// Who decides whether a token runs a routed block when the tokens after it are not known yet.
enum class CausalRouting {
  kPredictor,  ///< a small MLP that learns which tokens the router chose, and moves nothing else
  kAuxiliary,  ///< the router itself, which an auxiliary loss teaches to be above 0 for them
};
const char* to_string(CausalRouting causal);  ///< "predictor", "auxiliary"
/// The one of that name; throws Error naming `where` and the two names.
CausalRouting causal_routing(const std::string& name, const std::string& where);

/// Written under config["pace"]["mod"].
struct ModConfig {
  double capacity = 0.125;  ///< share of a sequence's tokens that run a routed block, in (0, 1]
  std::vector<int64_t> blocks = {};  ///< that are routed, rising
  CausalRouting causal = CausalRouting::kPredictor;
  /// What is added to a router's product: 0 as published; 1 for blocks that begin as those of a
  /// pretrained model.
  double offset = 0.0;
  bool random = false;  ///< tokens are drawn, a control: no router

  /// Every second one of so many, from the second on.
  static std::vector<int64_t> every_other(int64_t blocks);
  nlohmann::json to_json() const;
  static ModConfig from_json(const nlohmann::json& object, const std::string& where);
};

/// Mixture-of-Depths (arXiv 2404.02258). A routed block runs a part of a sequence's tokens, and
/// only they are its queries and keys; the others pass by. With the router's r_i = w x_i + offset a
/// token that runs becomes x_i + r_i f_i (eq. 1), f_i what the block adds to it; tokens keep their
/// order and positions.
///
/// In the relaxed form, and with Pass::compete, the round(capacity n) tokens of the greatest r run,
/// one at least. Otherwise each token is judged by itself, from what stands before the block: it
/// runs where the predictor, or the router, gives at least the pass's price, which is the dial:
/// 0 is the trained behaviour.
class Mod : public DepthPolicy {
 public:
  /// Parameters are named `mod.<block>.router` and, with a predictor, `.predictor.in` and
  /// `.predictor.out`. Throws Error for blocks that the backbone does not have.
  Mod(const ModConfig& config, const DepthSpec& spec, Parameters& parameters);
  ~Mod() override;

  Tensor run(const Tensor& states, const Stack& stack, Pass& pass) const override;

  /// Tokens of a sequence of `length` that compete successfully.
  static int64_t room(double capacity, int64_t length);

 private:
  class Route;
  Tensor pass_by(const Route& route, const Block& block, const Tensor& states, Pass& pass) const;

  ModConfig config_;
  std::vector<std::unique_ptr<Route>> routes_;  ///< by block; null: every token runs it
};

DepthBuilder mod_builder(const ModConfig& config);

}  // namespace pace
