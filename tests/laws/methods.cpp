#include "tests/laws/methods.h"

#include "pace/train/acm_init.h"
#include "tests/models/small_bert.h"
#include "tests/models/small_wav2vec2.h"
#include "tests/temporary_folder.h"

namespace pace::laws {

namespace {

/// Batches of what is made for the numbers of their examples.
class MadeBatches : public Loader {
 public:
  using Make = std::function<Batch(std::vector<int64_t> indices)>;
  MadeBatches(int64_t examples, int64_t batch, Make make)
      : names_(std::make_shared<Pictures>(examples)),
        options_(laws::batches_of(batch)),
        make_(std::move(make)) {}

  int64_t batches() const override { return pace::batches_of(names_->size(), options_); }
  const Dataset& dataset() const override { return *names_; }
  void start(int64_t, int64_t first) override { next_ = first; }
  std::optional<Batch> next() override {
    if (next_ == batches()) return std::nullopt;
    const int64_t begin = next_++ * options_.batch;
    std::vector<int64_t> indices;
    for (int64_t i = begin; i < std::min(begin + options_.batch, names_->size()); ++i) {
      indices.push_back(i);
    }
    return make_(std::move(indices));
  }
  int64_t broken() const override { return 0; }

 private:
  std::shared_ptr<const Dataset> names_;
  LoaderOptions options_;
  Make make_;
  int64_t next_ = 0;
};

/// Random texts of different lengths.
Batch texts(std::vector<int64_t> indices) {
  Batch batch;
  batch.inputs = testing_models::random_tokens(std::ssize(indices), indices.front());
  batch.labels = at::tensor(indices, at::kLong) % 3;
  batch.targets = smooth_targets(batch.labels, 3, 0.0);
  batch.indices = std::move(indices);
  return batch;
}

/// Random sounds of different lengths, of 10 to 22 frames.
Tensor sounds(int64_t batch, int64_t seed) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < batch; ++i) lengths.push_back(220 + (seed + 97 * i) % 240);
  return testing_models::sounds_of(lengths, static_cast<uint64_t>(seed));
}

std::shared_ptr<const CtcVocabulary> letters() {
  const TemporaryFolder folder;
  write_text(folder / "vocab.json",
             R"({"<pad>": 0, "|": 1, "A": 2, "B": 3, "C": 4, "D": 5, "E": 6})");
  return std::make_shared<CtcVocabulary>(CtcVocabulary::open(folder.path(), 7));
}

/// Such sounds, in which three letters are said.
Batch spoken(std::vector<int64_t> indices) {
  Batch batch;
  batch.inputs = sounds(std::ssize(indices), indices.front());
  batch.vocabulary = letters();
  batch.said.assign(indices.size(), "CAB");
  batch.labels =
      at::tensor(batch.vocabulary->encode("CAB"), at::kLong).expand({std::ssize(indices), -1});
  batch.indices = std::move(indices);
  return batch;
}

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
            return std::make_unique<MadeBatches>(examples, batch, texts);
          }};
}

Backbone wav2vec2() {
  return {"Wav2Vec2", [] { return testing_models::small_wav2vec2(); },
          [](int64_t batch) { return sounds(batch, 5); },
          [](int64_t examples, int64_t batch) -> std::unique_ptr<Loader> {
            return std::make_unique<MadeBatches>(examples, batch, spoken);
          }};
}

}  // namespace pace::laws
