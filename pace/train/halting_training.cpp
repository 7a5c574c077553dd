#include "pace/train/halting_training.h"

#include <algorithm>

#include "pace/base/error.h"
#include "pace/train/answers.h"

namespace pace {

namespace {

/// 0 in half of the draws, otherwise uniform in (0, 1).
double draw_share(at::Generator& generator) {
  return std::max(0.0, 2.0 * at::rand({}, generator, at::kDouble).item<double>() - 1.0);
}

}  // namespace

void train_halting(LoadedModel& loaded, const HaltingTraining& options, Loader& loader,
                   Trainer& trainer, const EpochHook& hook) {
  if (!loaded.halting) fail("the model has no halting stages to train");
  check_classes(loaded, loader);
  const Model& model = *loaded.model;
  const auto objective = [&](const Batch& batch, at::Generator& generator) -> StepFigures {
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.noise = 1.0;
    pass.generator = generator;
    const double share = options.range > 0.0 ? draw_share(generator) : 0.0;
    pass.price = -options.range * share / (1.0 - share);
    const Tensor logits = model.forward(batch.inputs, pass).to(at::kFloat);
    Tensor loss = answer_loss(logits, batch, pass.ledger.sequences());
    double units = 0.0;
    for (const Ponder& stage : pass.ledger.ponders()) {
      loss = loss + options.ponder * (1.0 - share) * stage.cost.mean();
      units += stage.units.to(at::kFloat).mean().item<double>();
    }
    loss.backward();
    return {{"loss", loss.item<double>()},
            {"accuracy", accuracy(logits.detach(), batch, pass.ledger.sequences())},
            {"units", units}};
  };
  trainer.run(finetune_phase(options.finetune), loader,
              finetune_groups(model.parameters(), options.finetune), objective, hook);
}

}  // namespace pace
