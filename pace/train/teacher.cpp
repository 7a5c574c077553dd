#include "pace/train/teacher.h"

#include <ATen/core/grad_mode.h>

#include "pace/train/autocast.h"

namespace pace {

namespace {

class TappedMap : public TokenMap {
 public:
  TappedMap(MapSpec spec, std::unique_ptr<TokenMap> map, std::shared_ptr<Tap> tap)
      : spec_(std::move(spec)), map_(std::move(map)), tap_(std::move(tap)) {}

  Tensor forward(const Tensor& tokens, Pass& pass) const override {
    Tensor output = map_->forward(tokens, pass);
    if (*tap_) {
      // Who listens may train, as if nothing had been changed around the teacher.
      const Autocast as_in_training(pass.context.type == at::kBFloat16, at::kCPU);
      (*tap_)(spec_, tokens.to(pass.context.type), output.to(pass.context.type));
    }
    return output;
  }

 private:
  MapSpec spec_;
  std::unique_ptr<TokenMap> map_;
  std::shared_ptr<Tap> tap_;
};

}  // namespace

Teacher::Teacher(const LoadedModel& dense, const AcmConfig& acm) : tap_(std::make_shared<Tap>()) {
  const MapBuilder builder = [acm, tap = tap_](const MapSpec& spec, Parameters& parameters) {
    std::unique_ptr<TokenMap> map = dense_map(spec, parameters);
    if (acm.covers(spec.kind)) map = std::make_unique<TappedMap>(spec, std::move(map), tap);
    return map;
  };
  model_ = build_model(dense.model->config(), "the teacher",
                       std::make_unique<Parameters>(weights_of(*dense.model)), builder);
}

Tensor Teacher::run(const Tensor& inputs, const Tap& tap) const {
  const at::NoGradGuard no_grad;
  Pass pass;
  // In training's type, but by the kernels of inference, which are several times as fast.
  if (at::autocast::is_autocast_enabled(at::kCPU)) pass.context.type = at::kBFloat16;
  const Autocast without(false, at::kCPU);
  *tap_ = tap;
  Tensor logits = model_->forward(inputs, pass);
  *tap_ = {};
  return logits;
}

}  // namespace pace
