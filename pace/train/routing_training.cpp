#include "pace/train/routing_training.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "pace/base/error.h"
#include "pace/train/answers.h"

namespace pace {

namespace {

constexpr double kFalling = 0.5;  ///< share of a retrofit in which the capacity falls

/// Of all routed blocks: the mean cross-entropy of causal routing, and the share of tokens that it
/// routes alike. Nothing of a control that draws its tokens.
struct CausalLoss {
  Tensor loss;
  double alike = 0.0;
};

CausalLoss causal_loss(const Ledger& ledger) {
  CausalLoss sum{at::zeros({}), 0.0};
  int64_t blocks = 0;
  for (const Routing& routing : ledger.routings()) {
    if (!routing.logits.defined()) continue;
    const Tensor& chosen = routing.chosen;
    sum.loss = sum.loss.to(chosen.device()) +
               at::binary_cross_entropy_with_logits(routing.logits, chosen.to(at::kFloat));
    sum.alike += routing.logits.detach().ge(0.0).eq(chosen).to(at::kFloat).mean().item<double>();
    ++blocks;
  }
  if (blocks == 0) return sum;
  return {sum.loss / static_cast<double>(blocks), sum.alike / static_cast<double>(blocks)};
}

/// Of all blocks with experts together, and how many they are.
struct BalanceLoss {
  Tensor loss;
  int64_t blocks = 0;
};

BalanceLoss balance_loss(const Ledger& ledger, const ExpertsConfig& config) {
  const Tensor wanted = at::tensor(config.wanted(), at::kFloat);
  BalanceLoss sum{at::zeros({}), 0};
  for (const Dispatch& dispatch : ledger.dispatches()) {
    const Tensor& probabilities = dispatch.probabilities;
    const Tensor taken = at::bincount(dispatch.choice, {}, wanted.numel()).to(at::kFloat) /
                         static_cast<double>(dispatch.choice.numel());
    sum.loss = sum.loss.to(taken.device()) +
               (taken * probabilities.mean(0) / wanted.to(taken.device())).sum();
    ++sum.blocks;
  }
  return sum;
}

/// The mean divergence from what the teacher answers where the batch asks something.
Tensor teacher_loss(const LoadedModel& teacher, const Tensor& logits, const Batch& batch) {
  Tensor wanted;
  {
    const at::NoGradGuard no_grad;
    Pass pass;
    wanted = teacher.model->forward(batch.inputs.to(logits.device()), pass);
  }
  return divergence(wanted, logits).masked_select(batch.labels.ge(0).to(logits.device())).mean();
}

}  // namespace

void train_routing(LoadedModel& loaded, const RoutingTraining& options, Loader& loader,
                   Trainer& trainer, const EpochHook& hook) {
  if (!loaded.mod && !loaded.experts)
    fail("the model has no routed blocks and no experts to train");
  check_classes(loaded, loader);
  const Model& model = *loaded.model;
  const at::Device device = model.parameters().all().at(0).second.device();
  const auto objective = [&](const Batch& batch, at::Generator& generator) -> StepFigures {
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.generator = generator;
    if (options.teacher) pass.slack = std::max(0.0, 1.0 - trainer.progress() / kFalling);
    const Tensor logits = model.forward(batch.inputs.to(device), pass).to(at::kFloat);
    const Tensor loss = answer_loss(logits, batch, pass.ledger.sequences());
    StepFigures figures{{"loss", loss.item<double>()},
                        {"accuracy", accuracy(logits.detach(), batch, pass.ledger.sequences())},
                        {kMacs, pass.ledger.macs().sum().item<double>()}};
    Tensor sum = loss;
    if (loaded.mod) {
      const CausalLoss causal = causal_loss(pass.ledger);
      figures["routed"] = causal.alike;
      sum = sum + options.causal * causal.loss;
    }
    if (loaded.experts) {
      const BalanceLoss balance = balance_loss(pass.ledger, *loaded.experts);
      figures["balance"] = balance.loss.item<double>() / static_cast<double>(balance.blocks);
      sum = sum + options.balance * balance.loss;
    }
    if (options.teacher) {
      const Tensor distill = teacher_loss(*options.teacher, logits, batch);
      figures["distill"] = distill.item<double>();
      sum = sum + distill;
    }
    sum.backward();
    return figures;
  };
  trainer.run(finetune_phase(options.finetune), loader,
              finetune_groups(model.parameters(), options.finetune), objective, hook);
}

}  // namespace pace
