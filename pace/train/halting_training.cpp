#include "pace/train/halting_training.h"

#include "pace/base/error.h"

namespace pace {

void train_halting(LoadedModel& loaded, const HaltingTraining& options, Loader& loader,
                   Trainer& trainer, const EpochHook& hook) {
  if (!loaded.halting) fail("the model has no halting stages to train");
  check_classes(loaded, loader);
  const Model& model = *loaded.model;
  const auto objective = [&](const Batch& batch, at::Generator& generator) -> StepFigures {
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.noise = 1.0;
    pass.batch_statistics = true;
    pass.generator = generator;
    const Tensor logits = model.forward(batch.inputs, pass).to(at::kFloat);
    Tensor loss = at::cross_entropy_loss(logits, batch.targets);
    double units = 0.0;
    for (const Ponder& stage : pass.ledger.ponders()) {
      loss = loss + options.ponder * stage.cost.mean();
      units += stage.units.to(at::kFloat).mean().item<double>();
    }
    loss.backward();
    const Tensor right = logits.detach().argmax(1) == batch.labels;
    return {{"loss", loss.item<double>()},
            {"accuracy", right.to(at::kFloat).mean().item<double>()},
            {"units", units}};
  };
  trainer.run(finetune_phase(options.finetune), loader,
              finetune_groups(model.parameters(), options.finetune), objective, hook);
}

}  // namespace pace
