#pragma once

#include "pace/kernels/grid.h"
#include "pace/kernels/sequences.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pace {

using at::Tensor;

/// The examples of a batch that are still being computed.
struct Running {
  kernels::Sequences sequences;  ///< of theirs
  Tensor examples;               ///< int64: their numbers in the batch; undefined when all are
};

/// What one adaptive part decided in one pass.
struct Decision {
  std::string site;  ///< the part, e.g. "layer.3.mlp"
  Tensor choice;     ///< int64 [rows]: k of each token of the running examples
  Tensor soft;       ///< float [rows, choices]: the same one-hot and differentiable; undefined in
                     ///< executed form
  Tensor cost;       ///< double [choices]: MACs of each choice k = 0..N for one token
  int64_t minimum = 0;  ///< smallest k the part may choose
  std::shared_ptr<const Running> running =
      nullptr;  ///< whose tokens those were; the ledger sets it
};

/// What a depth policy decided in one pass.
struct Halting {
  Tensor blocks;  ///< int64 [batch]: blocks that each example ran
  Tensor scores =
      {};  ///< float [batch, blocks, classes]: the logits after each block, relaxed form
  Tensor remaining = {};  ///< float [batch, blocks]: how much of the example has not halted after
                          ///< each block; relaxed form, of methods that accumulate their answer
};

/// What a method spent on one stage of a backbone: one that halts, or routes tokens round blocks.
struct Ponder {
  std::string stage;
  Tensor units;        ///< int64 [rows] or [pictures]: units, steps or blocks that each ran
  Tensor cost = {};    ///< float of that shape: the ponder cost, differentiable; relaxed form
  kernels::Grid grid;  ///< of the stage's positions
  int64_t most = 0;    ///< units of the stage
  int64_t least = 1;   ///< that any runs
};

/// Which tokens a routed block ran.
struct Routing {
  int64_t block = 0;
  Tensor chosen;       ///< bool [rows]
  Tensor logits = {};  ///< float [rows]: of running the token, by what decides token by token;
                       ///< differentiable; relaxed form
};

/// Which expert of a block each token ran.
struct Dispatch {
  int64_t block = 0;
  Tensor choice;         ///< int64 [rows]: of the tokens of the block
  Tensor probabilities;  ///< float [rows, choices], differentiable in relaxed form
  int64_t experts = 0;   ///< choices below it are experts; the one behind them, if any, is none
};

/// The account of one forward pass: every adaptive part records its decision, every part charges
/// the multiply-accumulates it executed. Losses, reports, heat maps and costs are read off it.
class Ledger {
 public:
  /// Begins the account of a batch of examples of one sequence each; the backbone calls it first.
  void open(kernels::Sequences sequences);

  /// Work that is the same for every example, for every token, and for every pair of tokens of one
  /// sequence: MACs of one.
  void charge(double macs) { by_example_ += macs; }
  void charge_tokens(double macs) { by_token_ += macs; }
  void charge_pairs(double macs) { by_pair_ += macs; }
  /// Work that each example of the batch has its own number of, and the MACs of one.
  void charge(const std::vector<int64_t>& counts, double macs);
  /// How much of the work charged, all examples together, only decides what else to run.
  void charge_deciding(double macs) { deciding_ += macs; }
  /// A decision; its cost is charged too.
  void record(Decision decision);
  void record(Halting halting) { halting_ = std::move(halting); }
  void record(Ponder ponder) { ponders_.push_back(std::move(ponder)); }
  void record(Routing routing) { routings_.push_back(std::move(routing)); }
  void record(Dispatch dispatch) { dispatches_.push_back(std::move(dispatch)); }
  /// Takes out what halting methods recorded, for a backbone that records it as one.
  std::vector<Ponder> take_ponders() { return std::exchange(ponders_, {}); }
  /// From here on only these examples run: charges and decisions are theirs. `examples` int64 are
  /// numbers in the batch, undefined for all; `sequences` those of their tokens that run.
  void keep(const Tensor& examples, kernels::Sequences sequences);

  const std::vector<Decision>& decisions() const { return decisions_; }
  const std::optional<Halting>& halting() const { return halting_; }
  const std::vector<Ponder>& ponders() const { return ponders_; }     ///< in order of execution
  const std::vector<Routing>& routings() const { return routings_; }  ///< in order of the blocks
  const std::vector<Dispatch>& dispatches() const { return dispatches_; }  ///< likewise
  const kernels::Sequences& sequences() const { return sequences_; }       ///< of the whole batch

  /// MACs of halting units and routers, which macs() holds too: all examples together.
  double deciding() const { return deciding_; }
  /// MACs executed by each example: double [batch].
  Tensor macs() const;
  /// Mean MACs per example as a differentiable function of the soft decisions: float scalar.
  Tensor soft_macs() const;

 private:
  Tensor fixed() const;  ///< double [batch]: MACs of each example that no decision saves
  /// total += values, which are of the running examples.
  static void add(const Tensor& values, const Running& running, Tensor& total);

  kernels::Sequences sequences_;
  std::shared_ptr<const Running> running_;
  double by_example_ = 0.0, by_token_ = 0.0, by_pair_ = 0.0;  ///< charged to those running
  double deciding_ = 0.0;
  Tensor charged_;  ///< double [batch]: before some left, or to each its own; undefined: nothing
  std::vector<Decision> decisions_;
  std::optional<Halting> halting_;
  std::vector<Ponder> ponders_;
  std::vector<Routing> routings_;
  std::vector<Dispatch> dispatches_;
};

}  // namespace pace
