#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/laws/pictures.h"
#include "tests/models/small_models.h"

namespace pace::laws {

/// A method under the laws: how it makes a dense model adaptive.
struct Method {
  std::string name;
  /// The dense model with this method in its seams, untrained and as close to it as the method
  /// begins.
  std::function<LoadedModel(const LoadedModel& dense, Loader& data)> untouched;
  /// How far the measured MACs of a calibrated budget may be from it (law 5), given the tiny
  /// models.
  double budget_tolerance = 0.02;
};

struct Backbone {
  std::string name;
  std::function<LoadedModel()> dense;
  /// Inputs for `batch` examples.
  std::function<Tensor(int64_t batch)> inputs;
  /// Labelled examples.
  std::function<std::unique_ptr<Loader>(int64_t examples, int64_t batch)> data;
};

LoadedModel acm(const LoadedModel& dense, const AcmConfig& config, Loader& data);
/// A BERT that reads random texts of three classes.
Backbone bert();
/// A speech recogniser that hears random sounds.
Backbone wav2vec2();

inline AcmConfig acm_of(std::vector<MapKind> kinds, int64_t learners, GateKind gate) {
  AcmConfig config;
  config.kinds = std::move(kinds);
  config.learners = learners;
  config.gate = gate;
  config.gate_hidden = 6;
  return config;
}

/// Every method of pace; a new one joins with its line here.
inline std::vector<Method> methods() {
  const auto with = [](AcmConfig config) {
    return [config](const LoadedModel& dense, Loader& data) { return acm(dense, config, data); };
  };
  const std::vector<MapKind> all{MapKind::kMlp, MapKind::kQuery, MapKind::kKey, MapKind::kValue,
                                 MapKind::kOutput};
  return {
      {"AcmMlp", with(acm_of({MapKind::kMlp}, 4, GateKind::kLearned))},
      {"AcmAll", with(acm_of(all, 4, GateKind::kLearned))},
      {"AcmStatic", with(acm_of({MapKind::kMlp}, 4, GateKind::kStatic)),
       /* four whole learners in each of two layers */ 0.04},
  };
}

inline std::vector<Backbone> backbones() {
  using testing_models::small_model;
  const auto pixels = [](int64_t batch) {
    return at::randn({batch, 1, 28, 28}, at::make_generator<at::CPUGeneratorImpl>(5));
  };
  const auto pictures = [](int64_t examples, int64_t batch) -> std::unique_ptr<Loader> {
    return std::make_unique<PictureLoader>(std::make_shared<Pictures>(examples), processor(),
                                           batches_of(batch));
  };
  return {{"ViT", [] { return small_model(false); }, pixels, pictures},
          {"Dinov2", [] { return small_model(true); }, pixels, pictures},
          bert(),
          wav2vec2()};
}

}  // namespace pace::laws
