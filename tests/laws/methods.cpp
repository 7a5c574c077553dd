#include "tests/laws/methods.h"

#include "pace/train/acm_init.h"
#include "tests/models/small_bert.h"

namespace pace::laws {

namespace {

/// Batches of random texts of different lengths.
class RandomTexts : public Loader {
 public:
  RandomTexts(int64_t examples, int64_t batch)
      : names_(std::make_shared<Pictures>(examples)), options_(laws::batches_of(batch)) {}

  int64_t batches() const override { return pace::batches_of(names_->size(), options_); }
  const Dataset& dataset() const override { return *names_; }
  void start(int64_t, int64_t first) override { next_ = first; }
  std::optional<Batch> next() override {
    if (next_ == batches()) return std::nullopt;
    const int64_t begin = next_++ * options_.batch;
    Batch batch;
    for (int64_t i = begin; i < std::min(begin + options_.batch, names_->size()); ++i) {
      batch.indices.push_back(i);
    }
    batch.inputs = testing_models::random_tokens(std::ssize(batch.indices), begin);
    batch.labels = at::tensor(batch.indices, at::kLong) % 3;
    batch.targets = smooth_targets(batch.labels, 3, 0.0);
    return batch;
  }
  int64_t broken() const override { return 0; }

 private:
  std::shared_ptr<const Dataset> names_;
  LoaderOptions options_;
  int64_t next_ = 0;
};

}  // namespace

LoadedModel acm(const LoadedModel& dense, const AcmConfig& config, Loader& data) {
  const at::NoGradGuard no_grad;
  const Teacher teacher(dense, config);
  TensorMap tensors = initial_weights(teacher, config, InitKind::kOrdered, data, 40, /*seed=*/3);
  const WeightSource rest = weights_of(*dense.model);
  return build_adaptive(dense.model->config(), config,
                        [&](const std::string& name) -> std::optional<Tensor> {
                          const auto found = tensors.find(name);
                          return found == tensors.end() ? rest(name) : found->second;
                        });
}

Backbone bert() {
  return {"Bert", [] { return testing_models::small_bert(); },
          [](int64_t batch) { return testing_models::random_tokens(batch, 5); },
          [](int64_t examples, int64_t batch) -> std::unique_ptr<Loader> {
            return std::make_unique<RandomTexts>(examples, batch);
          }};
}

}  // namespace pace::laws
