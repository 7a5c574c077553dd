#include "pace/train/finetune.h"

#include <string_view>

#include "pace/base/error.h"
#include "pace/train/answers.h"

namespace pace {
namespace {

bool in_head(std::string_view name) {
  return is_head(name) || name.starts_with("exit.") || name.starts_with("halting.") ||
         name.starts_with("mod.") || name.ends_with(".router.weight") || name == "rnn.repeat";
}

/// Decay pulls weights that multiply; what is added or scales a whole channel has no reason to be
/// small.
bool decays(std::string_view name, const Tensor& parameter) {
  return parameter.dim() > 1 && !name.ends_with("cls_token") && !name.ends_with("mask_token") &&
         !name.ends_with("position_embeddings");
}

}  // namespace

void check_classes(const LoadedModel& loaded, const Loader& loader) {
  const size_t model = loaded.model->labels().size();
  const size_t data = loader.dataset().classes().size();
  if (model != data) {
    fail("the data set has {} classes, but the model has {}; they must be the same{}", data, model,
         model == 0 ? ": a language model learns from text:FILE or jsonl:FILE, a speech recogniser "
                      "from speech:PATH"
                    : "");
  }
}

std::vector<ParameterGroup> finetune_groups(const Parameters& parameters,
                                            const FinetuneOptions& options) {
  const double head_rate = options.head_rate.value_or(options.learning_rate);
  std::vector<ParameterGroup> groups{{{}, options.learning_rate, options.weight_decay},
                                     {{}, options.learning_rate, 0.0},
                                     {{}, head_rate, options.weight_decay},
                                     {{}, head_rate, 0.0}};
  for (const auto& [name, parameter] : parameters.all()) {
    if (!parameter.requires_grad()) continue;  // a statistic
    const bool head = in_head(name);
    if (options.freeze_backbone && !head) continue;
    groups[(head ? 2 : 0) + (decays(name, parameter) ? 0 : 1)].parameters.emplace_back(name,
                                                                                       parameter);
  }
  std::erase_if(groups, [](const ParameterGroup& group) { return group.parameters.empty(); });
  return groups;
}

PhaseOptions finetune_phase(const FinetuneOptions& options) {
  PhaseOptions phase;
  phase.name = kFinetunePhase;
  phase.epochs = options.epochs;
  phase.warmup_steps = options.warmup_steps;
  phase.floor = options.floor;
  phase.clip_norm = options.clip_norm;
  phase.checkpoint_seconds = options.checkpoint_seconds;
  phase.accumulate = options.accumulate;
  phase.bf16 = options.bf16;
  phase.seed = options.seed;
  return phase;
}

void finetune(LoadedModel& loaded, const FinetuneOptions& options, Loader& loader, Trainer& trainer,
              const EpochHook& hook) {
  check_classes(loaded, loader);
  const Model& model = *loaded.model;
  const at::Device device = model.parameters().all().at(0).second.device();
  const auto objective = [&](const Batch& batch, at::Generator& generator) -> StepFigures {
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.batch_statistics = true;
    pass.generator = generator;
    const Tensor logits = model.forward(batch.inputs.to(device), pass).to(at::kFloat);
    const Tensor loss = answer_loss(logits, batch, pass.ledger.sequences());
    loss.backward();
    return {{"loss", loss.item<double>()},
            {"accuracy", accuracy(logits.detach(), batch, pass.ledger.sequences())},
            {kMacs, pass.ledger.macs().sum().item<double>()}};
  };
  trainer.run(finetune_phase(options), loader, finetune_groups(model.parameters(), options),
              objective, hook);
}

}  // namespace pace
