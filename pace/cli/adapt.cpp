#include "pace/cli/adapt.h"

#include <iostream>

#include "pace/base/error.h"
#include "pace/cli/setup.h"
#include "pace/cli/table.h"
#include "pace/eval/calibrate.h"
#include "pace/eval/model_card.h"
#include "pace/train/distill.h"
#include "pace/train/exit_training.h"
#include "pace/train/halting_training.h"
#include "pace/train/routing_training.h"

namespace pace::cli {
namespace {

constexpr int64_t kCalibrationPart = 5;  // 20 %

/// Figures of a model in training on what was held out, at its trained behaviour.
EpochHook held_out_hook(const LoadedModel& model, Loader& held_out) {
  return [&](int64_t) {
    const Score measured = score(model, held_out, 1.0, 0.0);
    return StepFigures{{"held_out_accuracy", measured.accuracy},
                       {"held_out_bits", measured.bits},
                       {"held_out_macs_fraction", measured.macs_fraction}};
  };
}

class Adapt : public Command {
 public:
  void declare(CLI::App& app) override;
  int run(Terminal& terminal) override;

 private:
  void declare_modules(CLI::App& app);
  void declare_phases(CLI::App& app);
  void declare_joint(CLI::App& app);
  void declare_exits(CLI::App& app);
  void declare_halting(CLI::App& app);
  void declare_mod(CLI::App& app);
  /// Throws UsageError for options of another method than the one asked for.
  void check_options() const;
  FinetuneOptions joint_training() const;
  /// Replaces maps by modules in three phases, puts exits after the blocks, lets stages halt, or
  /// routes tokens round blocks and to experts.
  LoadedModel make_modules(const LoadedModel& dense, Loader& loader, Loader& held_out,
                           const fs::path& folder, Terminal& terminal) const;
  LoadedModel make_exits(const LoadedModel& start, Loader& loader, Loader& held_out,
                         const fs::path& folder, Terminal& terminal) const;
  LoadedModel make_halting(const LoadedModel& start, Loader& loader, Loader& held_out,
                           const fs::path& folder, Terminal& terminal) const;
  LoadedModel make_routed(const LoadedModel& start, Loader& loader, Loader& held_out,
                          const fs::path& folder, Terminal& terminal) const;
  /// The start with what was asked for of routed blocks and experts, untrained.
  LoadedModel with_routers(const LoadedModel& start) const;
  LoadedModel make(const LoadedModel& start, Loader& loader, Loader& held_out,
                   const fs::path& folder, Terminal& terminal) const;
  /// Whether tokens are to be routed, round blocks or to experts.
  bool routes() const { return mod_.capacity > 0.0 || experts_.experts > 0; }
  /// Whether a method was asked for that a whole model is trained with, not modules.
  bool joint() const { return !rule_.empty() || !halting_.empty() || routes(); }
  DistillOptions distill_options() const;
  void print(const Calibration& calibration, const json& results) const;

  const CLI::App* app_ = nullptr;
  DataOptions data_;
  RunOptions run_;
  ThreadOptions threads_;
  DistillOptions distill_;
  FinetuneOptions training_;  ///< of exits, halting stages, routed blocks and experts
  ExitTraining exits_;
  HaltingTraining stages_;
  ModConfig mod_{.capacity = 0.0};       ///< of no blocks: every other
  ExpertsConfig experts_{.experts = 0};  ///< of no blocks: every one
  RoutingTraining routing_;
  double epochs_ = 3.0, head_rate_ = 0.0, ponder_ = -1.0;
  bool paper_bound_ = false, retrofit_ = false;
  std::string rule_, halting_, ponder_cost_ = "remaining", causal_ = "predictor";
  std::vector<const CLI::Option*> of_modules_, of_joint_, of_ponder_, of_exits_, of_halting_,
      of_mod_, of_experts_;
  std::string model_, gate_ = "learned", init_ = "ordered", gate_labels_ = "price";
  std::vector<std::string> maps_{"mlp", "query", "key", "value", "output"};
  int64_t calibration_ = -1, steps_ = 0;
  bool json_ = false;
};

void Adapt::declare(CLI::App& app) {
  app_ = &app;
  app.add_option("--model", model_, "folder of the trained dense model")->required();
  data_.declare(app, "training data");
  app.add_option("--calibration", calibration_,
                 "examples kept from training, on which the budgets are calibrated")
      ->check(at_least(1))
      ->default_str("1000, or 20 % if that is less");
  run_.declare(app);
  const auto declared = [&](const auto& declare) {
    const size_t before = app.get_options().size();
    declare();
    const std::vector<CLI::Option*> all = app.get_options();
    return std::vector<const CLI::Option*>(all.begin() + static_cast<std::ptrdiff_t>(before),
                                           all.end());
  };
  of_modules_ = declared([&] {
    declare_modules(app);
    declare_phases(app);
  });
  app.add_option("--exits", rule_,
                 "put exits after the blocks in place of modules into them: dact (halting), or for "
                 "comparison entropy, confidence, patience, fixed")
      ->check(CLI::IsMember({"dact", "entropy", "confidence", "patience", "fixed"}));
  app.add_option("--halting", halting_,
                 "let the stages of a residual network halt: act or pact for whole pictures, sact "
                 "or spatial-pact position by position; or the time steps of an LSTM: act or pact")
      ->check(CLI::IsMember({"act", "sact", "pact", "spatial-pact"}));
  app.add_option("--mod", mod_.capacity,
                 "route tokens round blocks of gpt2 or llama: the share of a text's tokens that a "
                 "routed block runs")
      ->check(above_to(0, 1))
      ->default_str("");
  app.add_option("--experts", experts_.experts,
                 "put so many experts, of which a token runs one, in the place of the MLPs of gpt2 "
                 "or llama, alone or with --mod")
      ->check(at_least(1))
      ->default_str("");
  of_joint_ = declared([&] { declare_joint(app); });
  of_ponder_ = declared([&] {
    app.add_option("--ponder", ponder_, "dact and halting: weight of the ponder cost")
        ->check(at_least(0))
        ->default_str(fmt::format("{} with dact, {} with halting", ExitTraining().ponder,
                                  HaltingTraining().ponder));
  });
  of_exits_ = declared([&] { declare_exits(app); });
  of_halting_ = declared([&] { declare_halting(app); });
  of_mod_ = declared([&] { declare_mod(app); });
  of_experts_ = declared([&] {
    app.add_option("--no-op", experts_.no_op, "experts: share of tokens that are to run none")
        ->check(above(0))
        ->check(from_to(0, 1))
        ->default_str("");
    app.add_option("--balance-weight", routing_.balance,
                   "experts: weight of the loss that keeps their shares of the tokens")
        ->check(at_least(0));
  });
  threads_.declare(app);
  app.add_flag("--json", json_, "print the results as JSON");
}

void Adapt::declare_modules(CLI::App& app) {
  AcmConfig& acm = distill_.acm;
  add_list(app, "--maps", maps_, "what is replaced in every block: mlp,query,key,value,output")
      ->check(CLI::IsMember({"mlp", "query", "key", "value", "output"}));
  app.add_option("--learners", acm.learners, "learners per module (N)")->check(at_least(1));
  app.add_option("--minimum-mlp", acm.minimum_mlp, "fewest learners an MLP may run")
      ->check(at_least(0));
  app.add_option("--minimum-projection", acm.minimum_projection,
                 "fewest learners a projection may run")
      ->check(at_least(0));
  app.add_option("--gate", gate_,
                 "learned: chosen per token; static: the same for every token, a baseline")
      ->check(CLI::IsMember({"learned", "static"}));
  app.add_option("--gate-hidden", acm.gate_hidden, "hidden units of a gate")->check(at_least(1));
  app.add_option("--temperature", acm.temperature,
                 "of the softmax that gives choices their gradient")
      ->check(above(0));
  app.add_option("--init", init_,
                 "ordered: learners from the dense weights by importance; random: fresh ones, as "
                 "in the paper")
      ->check(CLI::IsMember({"ordered", "random"}));
  app.add_option("--statistics-examples", distill_.statistics_examples,
                 "examples whose activations tell the importance")
      ->check(at_least(1));
}

void Adapt::declare_phases(CLI::App& app) {
  DistillOptions& o = distill_;
  const auto number = [&](const char* name, double& value, const char* description) {
    app.add_option(name, value, description)->check(at_least(0));
  };
  number("--epochs1", o.epochs1, "of Phase 1, in which every module learns its dense map");
  number("--epochs2", o.epochs2, "of Phase 2, in which the gates learn what pays");
  number("--epochs3", o.epochs3, "of Phase 3, end to end");
  number("--rate1", o.rate1, "learning rate of Phase 1");
  number("--rate2", o.rate2, "learning rate of Phase 2");
  number("--rate3", o.rate3, "learning rate of Phase 3");
  number("--gate-rate3", o.gate_rate3, "learning rate of the gates in Phase 3");
  app.add_option("--full-share", o.full_share, "Phase 1: weight of k = N in the loss over all k")
      ->check(from_to(0, 1));
  app.add_option("--gate-labels", gate_labels_,
                 "Phase 2: price (what the budget should buy) or ratio (the paper's rule)")
      ->check(CLI::IsMember({"price", "ratio"}));
  app.add_option("--ratio", o.ratio, "threshold of the ratio rule")->check(above(0));
  app.add_option("--budget-low", o.budget_low, "each batch draws its budget from here ...")
      ->check(above_to(0, 1));
  app.add_option("--budget-high", o.budget_high, "... to here")->check(above_to(0, 1));
  number("--noise", o.noise,
         "Phase 3: scale of the Gumbel noise on the gates' choices; 1 draws them");
  number("--weight-budget", o.weight_budget, "Phase 3: weight of the budget loss");
  number("--weight-entropy", o.weight_entropy, "Phase 3: weight of the entropy loss");
  number("--weight-diversity", o.weight_diversity, "Phase 3: weight of the diversity loss");
  number("--weight-distill", o.weight_distill,
         "Phase 3: weight of the divergence from the dense model's answer");
}

void Adapt::declare_joint(CLI::App& app) {
  app.add_option("--epochs", epochs_,
                 "exits, halting, mod and experts: epochs of joint training (0: none; with exits, "
                 "halting and mod a model that has them is calibrated again, for another rule)")
      ->check(at_least(0));
  app.add_option("--rate", training_.learning_rate,
                 "exits, halting, mod and experts: learning rate")
      ->check(at_least(0));
  app.add_option("--head-rate", head_rate_,
                 "exits, halting, mod and experts: learning rate of what is new and of the last "
                 "layer (0: as --rate)")
      ->check(at_least(0));
  app.add_option("--warmup-steps", training_.warmup_steps,
                 "exits, halting, mod and experts: steps to full learning rate")
      ->check(at_least(0));
}

void Adapt::declare_exits(CLI::App& app) {
  app.add_flag("--paper-bound", paper_bound_,
               "dact: the paper's bound on what the runner-up can gain, looser than ours");
  app.add_flag("--paper-loss", exits_.paper_loss,
               "dact: the paper's loss, of the accumulated answer alone");
  app.add_option("--ponder-cost", ponder_cost_,
                 "dact: remaining (the sum of p_n) or halting (the sum of h_n)")
      ->check(CLI::IsMember({"remaining", "halting"}));
}

void Adapt::declare_halting(CLI::App& app) {
  app.add_option("--steps", steps_,
                 "halting, LSTM: how often a time step is computed at most (0: as the model says)")
      ->check(at_least(0));
  app.add_option(
         "--range", stages_.range,
         "halting: scale by which training lowers the halting logits, in half of the batches, "
         "for one network that serves many budgets (0: never, as published)")
      ->check(at_least(0));
}

void Adapt::declare_mod(CLI::App& app) {
  add_list(app, "--blocks", mod_.blocks, "mod: the routed blocks, from 0")
      ->check(at_least(0))
      ->default_str("every other, from 1");
  app.add_option("--causal", causal_,
                 "mod: who decides token by token: predictor (a small MLP) or auxiliary (the "
                 "router, taught by a loss of its own)")
      ->check(CLI::IsMember({"predictor", "auxiliary"}));
  app.add_option("--causal-weight", routing_.causal, "mod: weight of the loss that teaches it")
      ->check(at_least(0));
  app.add_flag(
      "--retrofit", retrofit_,
      "mod: keep to a pretrained model: routed blocks begin as its own, the capacity falls "
      "from 1 in the first half of the training, and its answers are learned too");
  app.add_flag("--random-routing", mod_.random, "mod: draw the tokens, a control");
}

void Adapt::check_options() const {
  const auto refuse = [](const std::vector<const CLI::Option*>& options, const char* why) {
    for (const CLI::Option* option : options) {
      if (option->count() > 0) throw UsageError(fmt::format("{} {}", option->get_name(), why));
    }
  };
  const bool routed = mod_.capacity > 0.0;
  if (!rule_.empty() + !halting_.empty() + routed > 1) {
    throw UsageError("--exits, --halting and --mod exclude each other: one method runs the blocks");
  }
  if (experts_.experts > 0 && !(rule_.empty() && halting_.empty())) {
    throw UsageError("--experts goes with --mod, not with --exits or --halting");
  }
  if (joint()) {
    refuse(of_modules_,
           "is for modules, which --exits, --halting, --mod and --experts make none of");
  }
  if (!routed) refuse(of_mod_, "needs --mod");
  if (experts_.experts == 0) refuse(of_experts_, "needs --experts");
  if (rule_.empty() && halting_.empty()) refuse(of_ponder_, "needs --exits or --halting");
  if (rule_.empty()) refuse(of_exits_, "needs --exits");
  if (halting_.empty()) refuse(of_halting_, "needs --halting");
  if (joint()) return;
  refuse(of_joint_, "needs --exits, --halting, --mod or --experts");
  distill_options();  // refuses what makes no sense before anything is read
}

FinetuneOptions Adapt::joint_training() const {
  FinetuneOptions options = with_run(training_, head_rate_, run_);
  options.epochs = epochs_;
  return options;
}

DistillOptions Adapt::distill_options() const {
  DistillOptions options = distill_;
  options.acm.kinds.clear();
  for (const std::string& name : maps_) options.acm.kinds.push_back(map_kind(name, "--maps"));
  options.acm.gate = gate_ == "static" ? GateKind::kStatic : GateKind::kLearned;
  options.init = init_ == "random" ? InitKind::kRandom : InitKind::kOrdered;
  options.labels = gate_labels_ == "ratio" ? GateLabels::kRatio : GateLabels::kPrice;
  options.clip_norm = run_.clip;
  options.checkpoint_seconds = run_.checkpoint_seconds;
  options.accumulate = run_.accumulate;
  options.bf16 = run_.bf16;
  options.seed = run_.seed;
  options.check();
  return options;
}

LoadedModel Adapt::make_modules(const LoadedModel& dense, Loader& loader, Loader& held_out,
                                const fs::path& folder, Terminal& terminal) const {
  const DistillHook hook = [&](const LoadedModel& adaptive, double budget,
                               double price) -> StepFigures {
    const Score measured = score(adaptive, held_out, budget, price);
    return {{"held_out_accuracy", measured.accuracy},
            {"held_out_macs_fraction", measured.macs_fraction}};
  };
  LoadedModel adaptive = distill(dense, distill_options(), loader, folder, terminal, hook);
  adaptive.preprocessor = dense.preprocessor;
  adaptive.tokenizer = dense.tokenizer;
  return adaptive;
}

LoadedModel Adapt::make_exits(const LoadedModel& start, Loader& loader, Loader& held_out,
                              const fs::path& folder, Terminal& terminal) const {
  LoadedModel model = build_exits(start, {exit_rule(rule_, "--exits"), paper_bound_}, run_.seed);
  ExitTraining options = exits_;
  options.finetune = joint_training();
  options.ponder_on_halting = ponder_cost_ == "halting";
  if (ponder_ >= 0.0) options.ponder = ponder_;
  Trainer trainer(folder, {kFinetunePhase}, model.model->parameters().all(), terminal);
  train_exits(model, options, loader, trainer, held_out_hook(model, held_out));
  return model;
}

LoadedModel Adapt::make_halting(const LoadedModel& start, Loader& loader, Loader& held_out,
                                const fs::path& folder, Terminal& terminal) const {
  LoadedModel model =
      build_halting(start, {halting_method(halting_, "--halting")}, run_.seed, steps_);
  HaltingTraining options = stages_;
  options.finetune = joint_training();
  if (ponder_ >= 0.0) options.ponder = ponder_;
  Trainer trainer(folder, {kFinetunePhase}, model.model->parameters().all(), terminal);
  train_halting(model, options, loader, trainer, held_out_hook(model, held_out));
  return model;
}

LoadedModel Adapt::with_routers(const LoadedModel& start) const {
  if (mod_.capacity == 0.0) return build_experts(start, experts_, run_.seed);
  const auto given = [&](const char* option) { return app_->get_option(option)->count() > 0; };
  ModConfig config = start.mod.value_or(ModConfig());
  config.capacity = mod_.capacity;
  if (given("--blocks")) config.blocks = mod_.blocks;
  if (given("--causal")) config.causal = causal_routing(causal_, "--causal");
  if (given("--random-routing")) config.random = true;
  if (retrofit_) {
    if (start.adaptive())
      fail("'{}' is an adaptive model; --retrofit keeps to a dense one", model_);
    config.offset = 1.0;
  }
  LoadedModel routed = build_mod(start, config, run_.seed);
  return experts_.experts > 0 ? build_experts(routed, experts_, run_.seed) : std::move(routed);
}

LoadedModel Adapt::make_routed(const LoadedModel& start, Loader& loader, Loader& held_out,
                               const fs::path& folder, Terminal& terminal) const {
  LoadedModel model = with_routers(start);
  RoutingTraining options = routing_;
  if (retrofit_) options.teacher = &start;
  options.finetune = joint_training();
  Trainer trainer(folder, {kFinetunePhase}, model.model->parameters().all(), terminal);
  train_routing(model, options, loader, trainer, held_out_hook(model, held_out));
  return model;
}

LoadedModel Adapt::make(const LoadedModel& start, Loader& loader, Loader& held_out,
                        const fs::path& folder, Terminal& terminal) const {
  if (!rule_.empty()) return make_exits(start, loader, held_out, folder, terminal);
  if (!halting_.empty()) return make_halting(start, loader, held_out, folder, terminal);
  if (routes()) return make_routed(start, loader, held_out, folder, terminal);
  return make_modules(start, loader, held_out, folder, terminal);
}

int Adapt::run(Terminal& terminal) {
  threads_.apply();
  check_options();
  const LoadedModel start = load_model(fs::path(model_));
  if (!joint() && start.adaptive()) {
    fail("'{}' is an adaptive model; adapt starts from a dense one", model_);
  }
  const auto examples = examples_for(start, model_, open_dataset(data_.data), data_);
  const TrainingData data = divide(labelled_for(start, examples, data_, terminal), data_.limit,
                                   {calibration_, kCalibrationPart}, run_.seed);
  if (!data.held_out) fail("'{}' is too small to keep examples for calibration", data_.data);

  TrainingRun run(run_, "adapt", *app_);
  const std::unique_ptr<Loader> loader = make_loader(
      start, model_, data.training, training_loader(data_, run_, data.training->size()), terminal);
  const std::unique_ptr<Loader> held_out =
      make_loader(start, model_, data.held_out, data_.loader(run_.seed), terminal);
  LoadedModel adaptive = make(start, *loader, *held_out, run.path(), terminal);
  adaptive.calibration = calibrate(adaptive, start, *held_out, terminal);

  const json results = {{"out", run_.out},
                        {"training_items", data.training->size()},
                        {"calibration_items", data.held_out->size()},
                        {"calibration", adaptive.calibration.to_json()},
                        {"broken", loader->broken() + held_out->broken()}};
  save_model(run.path(), adaptive);
  const ModelCard card{
      folder_name(run_.out), folder_name(model_), license_of(model_), {data_.data}, std::nullopt};
  write_text(run.path() / "README.md", render_model_card(card, adaptive));
  run.commit(results);
  print(adaptive.calibration, results);
  return 0;
}

void Adapt::print(const Calibration& calibration, const json& results) const {
  if (json_) {
    std::cout << dump(results, 2) << "\n";
    return;
  }
  std::cout << fmt::format("the adaptive model is in {}; the dense one: {} {} of {} held out\n",
                           run_.out, percent(calibration.dense_metric), calibration.metric,
                           results["calibration_items"].get<int64_t>())
            << curve_table(calibration);
}

}  // namespace

std::unique_ptr<Command> make_adapt() { return std::make_unique<Adapt>(); }

}  // namespace pace::cli
