#include "pace/train/distill.h"

#include <ATen/core/grad_mode.h>

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "pace/adaptive/losses.h"
#include "pace/base/error.h"
#include "pace/train/acm_phases.h"
#include "pace/train/answers.h"
#include "pace/train/price_control.h"

namespace pace {

namespace {

/// Of the batches of Phase 3, the share that runs every learner. Gates hardly ever all choose
/// k = N, so that without it the widest model would never be trained (the sandwich rule of
/// slimmable networks, arXiv 1903.05134).
constexpr double kFullWidthShare = 0.125;
constexpr double kFullWidthPrice = -1e9;  ///< outweighs any logit
constexpr double kMeasuredBudget = 0.5;   ///< or the nearest trained: for the epochs of Phase 3

double uniform(double low, double high, at::Generator& generator) {
  return low + (high - low) * at::rand({}, generator, at::kDouble).item<double>();
}

/// The share of the adaptive work that a budget of the whole model leaves: (budget * dense - fixed)
/// / adaptive.
class Allowance {
 public:
  Allowance(const Model& model, const std::vector<Acm*>& modules, const Tensor& inputs)
      : dense_(model.dense_macs(inputs.narrow(0, 0, 1)).item<double>()) {
    // One pass at full width tells what is fixed and what is adaptive.
    const at::NoGradGuard no_grad;
    Pass pass;
    pass.price = kFullWidthPrice;
    model.forward(inputs.narrow(0, 0, 1), pass);
    for (size_t i = 0; i < modules.size(); ++i) {
      const Decision& decision = pass.ledger.decisions()[i];
      const auto tokens = static_cast<double>(decision.choice.size(0));
      adaptive_ += decision.cost[-1].item<double>() * tokens;
      least_ += decision.cost[decision.minimum].item<double>() * tokens;
    }
    fixed_ = pass.ledger.macs().item<double>() - adaptive_;
    least_ += fixed_;
  }

  /// The budget, or the least that can be met where that is more.
  double reachable(double budget) const { return std::max(budget, least_ / dense_); }
  double share(double budget) const {
    return std::clamp((budget * dense_ - fixed_) / adaptive_, 0.0, 1.0);
  }

 private:
  double dense_, adaptive_ = 0.0, fixed_ = 0.0, least_ = 0.0;
};

struct Split {
  NamedTensors learners, gates, backbone;
};

Split split_parameters(const Parameters& parameters) {
  Split split;
  for (const auto& entry : parameters.all()) {
    const bool acm = entry.first.starts_with("acm.");
    const bool gate = entry.first.find(".gate.") != std::string::npos;
    if (acm && entry.first.ends_with(".centre")) continue;
    (!acm ? split.backbone : gate ? split.gates : split.learners).push_back(entry);
  }
  return split;
}

/// One run of the three phases: what they share.
class Distillation {
 public:
  Distillation(const LoadedModel& dense, const DistillOptions& options, Loader& loader,
               const fs::path& run_folder, Reporter& reporter)
      : options_(options),
        loader_(loader),
        teacher_(dense, options.acm),
        student_(initial_student(dense)),
        split_(split_parameters(student_.model->parameters())),
        prices_(options.budget_low, options.budget_high),
        allowance_(*student_.model, student_.modules, first_inputs()),
        trainer_(run_folder, phases(), checkpointed(), reporter) {
    student_.preprocessor = dense.preprocessor;
    for (Acm* acm : student_.modules) by_site_[acm->site()] = acm;
  }

  void phase1() {
    const Objective objective = [this](const Batch& batch, at::Generator&) {
      double loss = 0.0;
      teacher_.run(batch.inputs, [&](const MapSpec& spec, const Tensor& in, const Tensor& out) {
        const Acm& acm = *by_site_.at(spec.site);
        loss += learner_loss(acm, in, out, phase1_weights(acm.shape(), options_.full_share));
      });
      return StepFigures{{"loss", loss / static_cast<double>(by_site_.size())}};
    };
    PhaseOptions phase = phase_options("learners", options_.epochs1);
    phase.clip_norm = 0.0;
    trainer_.run(phase, loader_, {{split_.learners, options_.rate1, 0.0}}, objective);
  }

  void phase2() {
    const Objective objective = [this](const Batch& batch, at::Generator& generator) {
      Pass pass;
      pass.budget = uniform(options_.budget_low, options_.budget_high, generator);
      const double share = allowance_.share(pass.budget);
      double loss = 0.0, hits = 0.0;
      teacher_.run(batch.inputs, [&](const MapSpec& spec, const Tensor& in, const Tensor& out) {
        const auto [l, h] = gate_step(*by_site_.at(spec.site), in, out, share, pass);
        loss += l;
        hits += h;
      });
      const double modules = static_cast<double>(by_site_.size());
      return StepFigures{{"loss", loss / modules}, {"agreement", hits / modules}};
    };
    trainer_.run(phase_options("gates", options_.epochs2), loader_,
                 {{split_.gates, options_.rate2, 0.0}}, objective);
  }

  void phase3(const DistillHook& hook) {
    const Objective objective = [this](const Batch& batch, at::Generator& generator) {
      return end_to_end_step(batch, generator);
    };
    const EpochHook epoch_hook = [&](int64_t) {
      if (!hook) return StepFigures{};
      const double budget = std::clamp(kMeasuredBudget, options_.budget_low, options_.budget_high);
      return hook(student_, budget, price(budget));
    };
    PhaseOptions phase = phase_options("end-to-end", options_.epochs3);
    phase.floor = 0.01;
    trainer_.run(phase, loader_,
                 {{split_.learners, options_.rate3, 0.0},
                  {split_.backbone, options_.rate3, 0.0},
                  {split_.gates, options_.gate_rate3, 0.0}},
                 objective, epoch_hook);
  }

  bool learned_gates() const { return options_.acm.gate == GateKind::kLearned; }
  LoadedModel take_student() { return std::move(student_); }

 private:
  std::vector<std::string> phases() const {
    if (!learned_gates()) return {"learners", "end-to-end"};
    return {"learners", "gates", "end-to-end"};
  }

  NamedTensors checkpointed() const {
    NamedTensors tensors = student_.model->parameters().all();
    tensors.emplace_back("prices", prices_.state());
    return tensors;
  }

  LoadedModel initial_student(const LoadedModel& dense) {
    const TensorMap initial = initial_weights(teacher_, options_.acm, options_.init, loader_,
                                              options_.statistics_examples, options_.seed);
    const WeightSource rest = weights_of(*dense.model);
    return build_adaptive(dense.model->config(), options_.acm,
                          [&](const std::string& name) -> std::optional<Tensor> {
                            const auto found = initial.find(name);
                            return found == initial.end() ? rest(name) : found->second;
                          });
  }

  PhaseOptions phase_options(const std::string& name, double epochs) const {
    PhaseOptions phase;
    phase.name = name;
    phase.epochs = epochs;
    phase.clip_norm = options_.clip_norm;
    phase.checkpoint_seconds = options_.checkpoint_seconds;
    phase.accumulate = options_.accumulate;
    phase.bf16 = options_.bf16;
    phase.seed = options_.seed;
    const int64_t steps = steps_of(loader_.batches(), options_.accumulate);
    phase.warmup_steps = static_cast<int64_t>(epochs * static_cast<double>(steps) * 0.05);
    return phase;
  }

  /// The same in a run that goes on from a checkpoint.
  Tensor first_inputs() const {
    loader_.start(0);
    const std::optional<Batch> batch = loader_.next();
    if (!batch) fail("there is no example to learn from");
    return batch->inputs;
  }

  /// Cross-entropy of one gate against its labels, with gradients; returns loss and agreement.
  std::pair<double, double> gate_step(const Acm& acm, const Tensor& in, const Tensor& out,
                                      double share, Pass& pass) {
    const int64_t minimum = acm.shape().gate.minimum;
    const Tensor errors = choice_errors(acm, in, out);
    const Tensor labels =
        (options_.labels == GateLabels::kPrice ? price_labels(errors, share, minimum)
                                               : ratio_labels(errors, options_.ratio, minimum)) -
        minimum;
    const at::AutoGradMode with_gradients(true);
    const Tensor logits = acm.gate().logits(in, pass);
    const Tensor loss = at::cross_entropy_loss(logits, labels);
    loss.backward();
    const Tensor hits = (logits.detach().argmax(1) == labels).to(at::kFloat).mean();
    return {loss.item<double>(), hits.item<double>()};
  }

  /// What a batch of Phase 3 charges for a budget.
  double price(double budget) const {
    // A static gate does not listen to the budget; the price that buys a share is 1 - share.
    return learned_gates() ? prices_.price(budget) : 1.0 - allowance_.share(budget);
  }

  StepFigures end_to_end_step(const Batch& batch, at::Generator& generator) {
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.noise = options_.noise;
    pass.generator = generator;
    pass.budget = uniform(options_.budget_low, options_.budget_high, generator);
    pass.price = price(pass.budget);
    const bool full_width = uniform(0, 1, generator) < kFullWidthShare;
    if (full_width) {
      pass.budget = 1.0;
      pass.price = kFullWidthPrice;
    }

    const Tensor logits = student_.model->forward(batch.inputs, pass).to(at::kFloat);
    const kernels::Sequences& sequences = pass.ledger.sequences();
    const Tensor task = answer_loss(logits, batch, sequences);
    Tensor loss = task;
    StepFigures figures;
    if (options_.weight_distill > 0) {
      const Tensor wanted = teacher_.run(batch.inputs, {});
      const Tensor distill = mean_divergence(wanted, logits, sequences);
      loss = loss + options_.weight_distill * distill;
      figures["distill"] = distill.item<double>();
    }
    const double dense = student_.model->dense_macs(batch.inputs).mean().item<double>();
    if (learned_gates() && !full_width) {
      const Tensor budget = budget_loss(pass.ledger, dense, pass.price);
      loss = loss + options_.weight_budget * budget +
             options_.weight_entropy * entropy_loss(pass.ledger) +
             options_.weight_diversity * diversity_loss(pass.ledger);
    }
    loss.backward();
    const double spent = pass.ledger.macs().mean().item<double>() / dense;
    if (learned_gates() && !full_width) {
      prices_.update(pass.budget, spent - allowance_.reachable(pass.budget));
      figures["price"] = pass.price;
    }
    figures["loss"] = loss.item<double>();
    figures["cross_entropy"] = task.item<double>();
    figures["budget"] = pass.budget;
    figures["macs_fraction"] = spent;
    figures["accuracy"] = accuracy(logits.detach(), batch, sequences);
    return figures;
  }

  const DistillOptions& options_;
  Loader& loader_;
  Teacher teacher_;
  LoadedModel student_;
  Split split_;
  PriceControl prices_;
  Allowance allowance_;  ///< of one example for all: budgets are shares
  Trainer trainer_;
  std::map<std::string, Acm*> by_site_;
};

}  // namespace

void DistillOptions::check() const {
  const auto require = [](bool right, const std::string& message) {
    if (!right) throw UsageError(message);
  };
  acm.check("ACM options");
  require(full_share >= 0 && full_share <= 1,
          fmt::format("full share is {}; it must be in 0..1", full_share));
  require(ratio > 0 && ratio < 1, fmt::format("ratio is {}; it must be in (0, 1)", ratio));
  require(
      budget_low > 0 && budget_low <= budget_high && budget_high <= 1,
      fmt::format("budgets are drawn between {} and {}; they must lie in (0, 1], the lower first",
                  budget_low, budget_high));
  require(noise >= 0, fmt::format("noise is {}; it cannot be negative", noise));
  require(statistics_examples > 0, "at least one example is needed to measure activations");
  require(epochs1 >= 0 && epochs2 >= 0 && epochs3 >= 0, "phases cannot last less than 0 epochs");
  require(rate1 > 0 && rate2 > 0 && rate3 > 0 && gate_rate3 > 0, "learning rates must be above 0");
  for (double weight : {weight_budget, weight_entropy, weight_diversity, weight_distill}) {
    require(weight >= 0, fmt::format("a loss weight is {}; it cannot be negative", weight));
  }
}

LoadedModel distill(const LoadedModel& dense, const DistillOptions& options, Loader& loader,
                    const fs::path& run_folder, Reporter& reporter, const DistillHook& hook) {
  options.check();
  if (dense.acm) fail("the model is adaptive already; adapt its dense original");
  if (dense.model->maps().empty()) {
    fail(
        "modules replace maps of tokens, which only transformers have; this model may halt "
        "instead");
  }
  if (dense.language_model()) {
    fail("modules replace the maps of encoders only; tokens of a language model may be routed");
  }
  Distillation run(dense, options, loader, run_folder, reporter);
  run.phase1();
  if (run.learned_gates()) run.phase2();
  run.phase3(hook);
  return run.take_student();
}

}  // namespace pace
