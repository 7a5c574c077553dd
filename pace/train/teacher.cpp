#include "pace/train/teacher.h"

#include <ATen/core/grad_mode.h>

namespace pace {

namespace {

class TappedMap : public TokenMap {
 public:
  TappedMap(MapSpec spec, std::unique_ptr<TokenMap> map, std::shared_ptr<Tap> tap)
      : spec_(std::move(spec)), map_(std::move(map)), tap_(std::move(tap)) {}

  Tensor forward(const Tensor& tokens, Pass& pass) const override {
    Tensor output = map_->forward(tokens, pass);
    if (*tap_) (*tap_)(spec_, tokens.flatten(0, 1), output.flatten(0, 1));
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
  *tap_ = tap;
  Tensor logits = model_->forward(inputs, pass);
  *tap_ = {};
  return logits;
}

}  // namespace pace
