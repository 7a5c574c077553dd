#pragma once

#include <memory>

#include "pace/data/loader.h"
#include "pace/data/tokenizer.h"

namespace pace {

/// The tokens of a text or pair, cut to `most_tokens`.
Encoding encode(const Tokenizer& tokenizer, const Text& text, int64_t most_tokens);
/// Those of an example, which packed texts have already.
Encoding encode(const Dataset& dataset, int64_t index, const Tokenizer& tokenizer,
                int64_t most_tokens);

/// int64 [batch, longest, 2] of the texts' tokens, -1 after the end of a text.
at::Tensor pad_tokens(const std::vector<Encoding>& encodings);

/// Batches of texts, tokenised as they are asked for, or of packed texts.
class TextLoader : public Loader {
 public:
  /// Texts are cut to `most_tokens`. Texts without classes must be packed.
  TextLoader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Tokenizer> tokenizer,
             int64_t most_tokens, LoaderOptions options);

  int64_t batches() const override { return batches_of(dataset_->size(), options_); }
  const Dataset& dataset() const override { return *dataset_; }
  void start(int64_t epoch, int64_t first = 0) override;
  std::optional<Batch> next() override;
  int64_t broken() const override { return 0; }

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  int64_t most_tokens_;
  LoaderOptions options_;
  std::vector<int64_t> order_;  ///< empty before the first epoch
  int64_t next_ = 0;            ///< batch of the epoch
};

}  // namespace pace
