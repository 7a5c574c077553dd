#pragma once

#include <map>
#include <nlohmann/json.hpp>

#include "pace/adaptive/seams.h"

namespace pace {

/// Written under config["pace"]["experts"].
struct ExpertsConfig {
  int64_t experts = 2;               ///< in the place of a block's MLP
  std::vector<int64_t> blocks = {};  ///< whose MLPs they replace
  double no_op = 0.0;  ///< wanted share of tokens that run no expert, in (0, 1); 0: all run one

  /// The wanted share of tokens of each choice: the experts, and the no-op where there is one.
  std::vector<double> wanted() const;
  /// Throws Error for what makes no sense in a model of so many blocks.
  void check(int64_t blocks_of_model) const;
  nlohmann::json to_json() const;
  static ExpertsConfig from_json(const nlohmann::json& object, const std::string& where);
};

/// A mixture of experts, each an MLP of the dense one's shape, of which a token runs one: the
/// choice i of the greatest logit, logits = W x (Switch Transformer, arXiv 2101.03961). It depends
/// on the token alone, so that a text may be run token by token. The token becomes n p_i f_i(x),
/// p the softmax of its n logits; with the factor n, which the paper does not have, experts that
/// begin as copies of a dense MLP (sparse upcycling, arXiv 2212.05055) begin about as it.
///
/// With a no-op there is one choice more, which gives 0 and computes nothing: integrated
/// mixture-of-depths-and-experts (arXiv 2404.02258). It is taken where its logit is
/// at least that of the best expert less the pass's price, which is the dial: 0 is the trained
/// behaviour.
class Experts : public TokenMap {
 public:
  /// Parameters are named `experts.<block>.router.weight` and `experts.<block>.<expert>.in`, `.out`
  /// and, where the MLP is gated, `.gate`.
  Experts(const ExpertsConfig& config, const MapSpec& spec, Parameters& parameters);

  Tensor forward(const Tensor& tokens, Pass& pass) const override;

 private:
  Tensor logits(const Tensor& tokens, Pass& pass) const;
  Tensor choose(const Tensor& logits, double price) const;

  int64_t block_, width_;
  Tensor weight_;
  kernels::Linear router_;
  std::vector<std::unique_ptr<TokenMap>> experts_;
};

/// A builder that makes experts of the MLPs the config names and dense maps of all others.
MapBuilder experts_builder(const ExpertsConfig& config);

/// Which tensor of the dense model each tensor of the experts begins as, by their names.
std::map<std::string, std::string> dense_origins(const ExpertsConfig& config,
                                                 const std::vector<MapSpec>& maps);

}  // namespace pace
