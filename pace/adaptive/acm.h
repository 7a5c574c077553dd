#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "pace/adaptive/gate.h"
#include "pace/kernels/ragged.h"

namespace pace {

/// Sizes of one adaptive computation module.
struct AcmShape {
  int64_t in = 0, out = 0;
  int64_t learners = 4;     ///< N
  int64_t width = 0;        ///< hidden units per learner
  bool dense_last = false;  ///< k = N runs the dense map itself, in place of all learners
  kernels::Activation activation = kernels::Activation::kGelu;
  GateShape gate;

  /// How many learners there are to add up.
  int64_t stacked() const { return dense_last ? learners - 1 : learners; }
  int64_t macs_per_learner() const { return width * (in + out); }  ///< per token
};

/// What is the same for all modules of a model: written under config["pace"]["acm"].
struct AcmConfig {
  std::vector<MapKind> kinds{MapKind::kMlp, MapKind::kQuery, MapKind::kKey, MapKind::kValue,
                             MapKind::kOutput};
  int64_t learners = 4;
  int64_t minimum_mlp = 0;  ///< smallest k in an MLP, around which a residual goes
  int64_t minimum_projection = 1;
  int64_t gate_hidden = 16;
  GateKind gate = GateKind::kLearned;
  double temperature = 0.8;

  /// Throws Error naming `where` and the field that makes no sense.
  void check(const std::string& where) const;
  bool covers(MapKind kind) const;
  /// Learners of an MLP share its hidden units. A learner of a projection costs the N-th part of it
  /// (width x N x (in + out) = in x out, rounded down); N - 1 of them have too low a rank to be the
  /// projection, so its last choice is the dense map. Throws Error when the sizes cannot be divided
  /// into N learners.
  AcmShape shape(const MapSpec& spec) const;

  nlohmann::json to_json() const;
  static AcmConfig from_json(const nlohmann::json& object, const std::string& where);
};

/// An adaptive computation module (arXiv 2312.10193): N learners s_n of the same shape (linear,
/// activation, linear), and a gate that chooses how many of them each token runs:
///   h(z, k) = bias + sum_{n <= k} (s_n(z) + learner_bias_n),
///   s_n(z) = out_weight_n (activation(in_weight_n z + in_bias_n) - centre_n).
/// The paper has neither output biases nor a centre. Both cost nothing when executed on the CPU.
/// With the centre at the mean of the hidden units a module begins as a truncation of the dense map
/// in which what is left out counts as its mean, and an optimiser that moves all output weights one
/// way does not shift the output. Nor has the paper a last choice that runs the dense map, h(z, N)
/// = dense(z), which is what lets a projection cost all and lose nothing.
class Acm : public TokenMap {
 public:
  /// Parameters are named `<prefix>.in_weight` and so on.
  Acm(const AcmShape& shape, const std::string& site, const std::string& prefix,
      Parameters& parameters);

  Tensor forward(const Tensor& tokens, Pass& pass) const override;

  const AcmShape& shape() const { return shape_; }
  const std::string& site() const { return site_; }
  const Gate& gate() const { return gate_; }
  Tensor in_weight() const { return in_weight_; }        ///< [stacked*width, in]
  Tensor in_bias() const { return in_bias_; }            ///< [stacked*width]
  Tensor out_weight() const { return out_weight_; }      ///< [out, stacked*width]
  Tensor centre() const { return centre_; }              ///< [stacked*width], never trained
  Tensor learner_bias() const { return learner_bias_; }  ///< [stacked, out]
  Tensor bias() const { return bias_; }                  ///< [out]
  Tensor dense_weight() const { return dense_weight_; }  ///< [out, in], undefined without one
  Tensor dense_bias() const { return dense_bias_; }      ///< [out], undefined without one
  /// MACs of each choice for one token: double [N+1].
  Tensor choice_cost() const { return choice_cost_; }

 private:
  Tensor relaxed(const Tensor& tokens, Pass& pass) const;
  Tensor executed(const Tensor& tokens, Pass& pass) const;
  kernels::Learners learners() const;
  /// The weights as the kernel wants them, packed again when training has changed them.
  std::shared_ptr<const kernels::PackedLearners> packed(const kernels::Context& context) const;

  AcmShape shape_;
  std::string site_;
  Tensor choice_cost_;
  Tensor in_weight_, in_bias_, centre_, out_weight_, learner_bias_, bias_;
  Tensor dense_weight_, dense_bias_;
  Gate gate_;
  kernels::PreparedFor<kernels::PackedLearners> packed_;
};

/// The tensors' name prefix of the module that replaces the map of `spec`.
std::string acm_prefix(const MapSpec& spec);

/// A builder that makes an Acm of every map the config covers and a dense map of the others. The
/// Acms made are appended to `made` (in order of their sites), which outlives none of them.
MapBuilder acm_builder(const AcmConfig& config, std::vector<Acm*>* made);

}  // namespace pace
