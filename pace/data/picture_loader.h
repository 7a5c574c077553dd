#pragma once

#include <memory>

#include "pace/data/image_processor.h"
#include "pace/data/loader.h"

namespace pace {

/// Batches of pictures, prepared ahead by threads. Broken pictures are left out of their batch with
/// skip_broken (each is reported once, and a batch of which nothing is left is passed over),
/// otherwise Error names all broken pictures of the dataset.
class PictureLoader : public Loader {
 public:
  PictureLoader(std::shared_ptr<const Dataset> dataset, const ImageProcessor& processor,
                LoaderOptions options, Reporter& reporter = quiet());
  ~PictureLoader() override;

  int64_t batches() const override;
  const Dataset& dataset() const override;
  void start(int64_t epoch, int64_t first = 0) override;
  std::optional<Batch> next() override;
  int64_t broken() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pace
