#include "tests/laws/methods.h"

#include "pace/train/acm_init.h"
#include "tests/laws/pictures.h"

namespace pace::laws {

LoadedModel acm(const LoadedModel& dense, const AcmConfig& config) {
  const at::NoGradGuard no_grad;
  const Teacher teacher(dense, config);
  Loader loader(std::make_shared<Pictures>(40), processor(), {});
  TensorMap tensors = initial_weights(teacher, config, InitKind::kOrdered, loader, 40, /*seed=*/3);
  const WeightSource rest = weights_of(*dense.model);
  return build_adaptive(dense.model->config(), config,
                        [&](const std::string& name) -> std::optional<Tensor> {
                          const auto found = tensors.find(name);
                          return found == tensors.end() ? rest(name) : found->second;
                        });
}

}  // namespace pace::laws
