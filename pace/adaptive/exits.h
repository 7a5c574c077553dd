#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "pace/adaptive/seams.h"
#include "pace/kernels/linear.h"

namespace pace {

/// What ends the computation of an example after one of the blocks.
enum class ExitRule {
  kDact,        ///< the accumulated answer can no longer change (arXiv 2004.12770, 2109.11745)
  kEntropy,     ///< the entropy of the block's answer is low (DeeBERT, arXiv 2004.12993)
  kConfidence,  ///< its greatest probability is high (The Right Tool for the Job, arXiv 2004.07453)
  kPatience,    ///< several blocks in a row gave the same class (PABEE, arXiv 2006.04152)
  kFixed,       ///< a number of blocks, the same for every example: a baseline
};
const char* to_string(ExitRule rule);  ///< "dact", "entropy", "confidence", "patience", "fixed"
/// The rule of that name; throws Error naming `where` and the five names.
ExitRule exit_rule(const std::string& name, const std::string& where);

/// DACT's answer log a_N of the logits after every block, [batch, blocks, classes], and of what has
/// not halted after it, [batch, blocks]: [batch, classes], differentiable.
Tensor accumulate(const Tensor& scores, const Tensor& remaining);

/// Written under config["pace"]["exits"].
struct ExitConfig {
  ExitRule rule = ExitRule::kDact;
  /// DACT: what the runner-up P is taken to gain at most from the d blocks that are left, where
  /// each moves p of the answer: 1 - (1 - P)(1 - p)^d, or the paper's looser P + p d.
  bool paper_bound = false;

  nlohmann::json to_json() const;
  static ExitConfig from_json(const nlohmann::json& object, const std::string& where);
};

/// An answer after every block, from the state of the first token, and a rule that says which one
/// is given. With h_n in (0, 1) the halting output and y_n the class probabilities after block n,
/// DACT accumulates p_n = h_n p_{n-1} from p_0 = 1 and a_n = y_n p_{n-1} + a_{n-1} (1 - p_{n-1});
/// its answer is log a_N. The other rules give the logits of the block they stop at.
///
/// In the relaxed form every block runs; the ledger gets the halting outputs and all answers. In
/// the executed form an example leaves the batch as soon as the rule says so. The dial is the
/// pass's price, from 0 for the safest to 1 for the earliest exit:
///   DACT      stops when the runner-up cannot overtake any more, were the blocks that are left to
///             move only 1 - price of what they may; at 0, stopping cannot change the class that
///             all blocks would give
///   entropy   stops when the entropy, as a share of ln classes, is at most the price
///   confidence stops when the greatest probability is at least 1 - price
///   patience  stops when ceil((1 - price) N) blocks in a row agree
///   fixed     stops after ceil((1 - price) N) blocks
/// Beyond the papers, every head has a hidden layer of its own, as the classifier of BERT has, and
/// the halting unit sees the head's answer: h = sigmoid(w z + b + v (lead of the best score)), z
/// the hidden layer. How sure an answer is stands in no direction of z, as sureness of either class
/// is. The unit reads z and the lead but does not shape them, so that the ponder cost moves nothing
/// else.
class Exits : public DepthPolicy {
 public:
  /// Parameters are named `exit.<block>.dense`, `.classifier` and (DACT) `.halting`,
  /// `.halting.gap`. Throws Error for a model with fewer than two classes.
  Exits(const ExitConfig& config, const DepthSpec& spec, Parameters& parameters);
  ~Exits() override;

  Tensor run(const Tensor& states, const Stack& stack, Pass& pass) const override;

 private:
  struct Head;
  struct Example;

  Tensor relaxed(const Tensor& states, const Stack& stack, Pass& pass) const;
  Tensor executed(const Tensor& states, const Stack& stack, Pass& pass) const;
  /// Writes the answers of the examples that may stop after `ran` blocks; returns the places of the
  /// others among those running.
  std::vector<int64_t> answer(std::vector<Example>& running, const Tensor& states, int64_t ran,
                              Halting& halting, Tensor& answers, Pass& pass) const;
  /// Whether the example may stop after `ran` blocks, given what the head of the last one says.
  bool stops(Example& example, const float* scores, double halting, int64_t ran,
             double price) const;
  bool dact_stops(Example& example, const std::vector<double>& probabilities, double halting,
                  int64_t ran, double price) const;

  ExitConfig config_;
  DepthSpec spec_;
  std::vector<std::unique_ptr<Head>> heads_;
};

DepthBuilder exits_builder(const ExitConfig& config);

}  // namespace pace
