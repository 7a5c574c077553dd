#include "pace/train/exit_training.h"

#include "pace/base/error.h"

namespace pace {
namespace {

/// Mean over examples of the summed p_n, or of the h_n that made them.
Tensor ponder_cost(const Tensor& remaining, bool on_halting) {
  if (!on_halting) return remaining.sum(1).mean();
  const Tensor before =
      at::cat({at::ones_like(remaining.slice(1, 0, 1)), remaining.slice(1, 0, -1)}, 1);
  return (remaining / before.clamp_min(1e-12)).sum(1).mean();
}

/// Mean cross-entropy of all exits.
Tensor loss_of_exits(const Tensor& scores, const Tensor& targets) {
  const Tensor log_probabilities = at::log_softmax(scores, -1);  // [batch, blocks, classes]
  return -(targets.unsqueeze(1) * log_probabilities).sum(-1).mean();
}

}  // namespace

void train_exits(LoadedModel& loaded, const ExitTraining& options, Loader& loader, Trainer& trainer,
                 const EpochHook& hook) {
  if (!loaded.exits) fail("the model has no exits to train");
  check_classes(loaded, loader);
  const Model& model = *loaded.model;
  const auto objective = [&](const Batch& batch, at::Generator& generator) -> StepFigures {
    Pass pass = loaded.pass_at(1.0);
    pass.form = Form::kRelaxed;
    pass.generator = generator;
    const Tensor logits = model.forward(batch.inputs, pass).to(at::kFloat);
    const Halting& halting = *pass.ledger.halting();
    StepFigures figures;
    Tensor loss = loss_of_exits(halting.scores, batch.targets);
    if (const Tensor& remaining = halting.remaining; remaining.defined()) {
      const Tensor accumulated =
          options.paper_loss ? logits : accumulate(halting.scores.detach(), remaining);
      const Tensor halted = at::cross_entropy_loss(accumulated, batch.targets) +
                            options.ponder * ponder_cost(remaining, options.ponder_on_halting);
      loss = options.paper_loss ? halted : loss + halted;
      figures["remaining"] = remaining.sum(1).mean().item<double>();
    }
    loss.backward();
    const Tensor right = logits.detach().argmax(1) == batch.labels;
    figures["loss"] = loss.item<double>();
    figures["accuracy"] = right.to(at::kFloat).mean().item<double>();
    return figures;
  };
  trainer.run(finetune_phase(options.finetune), loader,
              finetune_groups(model.parameters(), options.finetune), objective, hook);
}

}  // namespace pace
