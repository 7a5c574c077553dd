#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "pace/adaptive/seams.h"
#include "pace/kernels/score.h"

namespace pace {

/// How long a stage of residual units, or a time step, computes.
enum class HaltingMethod {
  kAct,   ///< each picture or time step until its halting scores add up to 1 (arXiv 1603.08983)
  kSact,  ///< each position of the feature map likewise (arXiv 1612.02297)
  kPact,  ///< each picture or time step until a latent variable says so (arXiv 1712.00386)
  kSpatialPact,  ///< each position likewise
};
const char* to_string(HaltingMethod method);  ///< "act", "sact", "pact", "spatial-pact"
/// The method of that name; throws Error naming `where` and the four names.
HaltingMethod halting_method(const std::string& name, const std::string& where);

/// Written under config["pace"]["halting"].
struct HaltingConfig {
  HaltingMethod method = HaltingMethod::kSact;

  bool by_position() const {
    return method == HaltingMethod::kSact || method == HaltingMethod::kSpatialPact;
  }
  bool accumulates() const {  ///< ACT and SACT
    return method == HaltingMethod::kAct || method == HaltingMethod::kSact;
  }
  nlohmann::json to_json() const;
  static HaltingConfig from_json(const nlohmann::json& object, const std::string& where);
};

/// Adaptive computation time over the L residual units of one stage, or over L computations of one
/// time step. After unit l the state u_l gives a halting logit, by a linear map of its mean over
/// positions and, per position, a 3 x 3 convolution beside it; h_l is its sigmoid and h_L = 1. A
/// position that has halted keeps its state, which its neighbours go on to see.
///   ACT, SACT   stop at N, the first l with h_1 + ... + h_l >= 1 - 0.01; the result is
///               h_1 u_1 + ... + h_(N-1) u_(N-1) + R u_N with R = 1 - h_1 - ... - h_(N-1), the
///               ponder cost N + R
///   PACT        stops at l with probability h_l (1 - h_1) ... (1 - h_(l-1)). Training draws
///   Concrete
///               samples x_l = sigmoid((logit h_l + logit of a uniform draw) / T), T = 2/3, with
///               the result sum of w_l u_l and the ponder cost sum of l w_l, where w_l =
///               x_l (1 - x_1) ... (1 - x_(l-1)); inference stops at the first h_l >= 1/2, with u_l
/// The dial is the pass's price, which is added to every halting logit: 0 is the trained behaviour,
/// larger ones halt earlier.
class StageHalting : public DepthPolicy {
 public:
  /// Parameters are named `halting.<stage>.<unit>.pool` and, per position, `.conv`. Throws Error
  /// for a backbone without feature maps.
  StageHalting(const HaltingConfig& config, const DepthSpec& spec, Parameters& parameters);
  ~StageHalting() override;

  Tensor run(const Tensor& states, const Stack& stack, Pass& pass) const override;

 private:
  class Score;
  class Steps;
  class Accumulated;
  class Latent;

  Tensor relaxed(const Tensor& states, const Stack& stack, Pass& pass) const;
  Tensor executed(const Tensor& states, const Stack& stack, Pass& pass) const;

  HaltingConfig config_;
  DepthSpec spec_;
  std::vector<std::unique_ptr<Score>> scores_;  ///< of all units but the last
};

DepthBuilder halting_builder(const HaltingConfig& config);

}  // namespace pace
