#include "pace/data/text_loader.h"

#include <algorithm>

#include "pace/base/error.h"

namespace pace {

namespace {

/// int64 [batch, longest], -1 after the end of a row.
at::Tensor pad_labels(const std::vector<std::vector<int64_t>>& labels, int64_t longest) {
  const at::Tensor padded = at::full({std::ssize(labels), longest}, -1, at::kLong);
  int64_t* row = padded.mutable_data_ptr<int64_t>();
  for (const std::vector<int64_t>& own : labels) {
    std::copy(own.begin(), own.end(), row);
    row += longest;
  }
  return padded;
}

Encoding encoding_of(std::vector<int64_t> tokens) {
  std::vector<int64_t> types(tokens.size(), 0);
  return {std::move(tokens), std::move(types)};
}

}  // namespace

Encoding encode(const Tokenizer& tokenizer, const Text& text, int64_t most_tokens) {
  return text.second ? tokenizer.encode(text.first, *text.second, most_tokens)
                     : tokenizer.encode(text.first, most_tokens);
}

Encoding encode(const Dataset& dataset, int64_t index, const Tokenizer& tokenizer,
                int64_t most_tokens) {
  if (dataset.classes().empty()) return encoding_of(dataset.sequence(index).tokens);
  return encode(tokenizer, dataset.text(index), most_tokens);
}

at::Tensor pad_tokens(const std::vector<Encoding>& encodings) {
  int64_t longest = 0;
  for (const Encoding& encoding : encodings) longest = std::max(longest, std::ssize(encoding.ids));
  const at::Tensor tokens = at::full({std::ssize(encodings), longest, 2}, -1, at::kLong);
  int64_t* row = tokens.mutable_data_ptr<int64_t>();
  for (const Encoding& encoding : encodings) {
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      row[2 * i] = encoding.ids[i];
      row[2 * i + 1] = encoding.types[i];
    }
    row += 2 * longest;
  }
  return tokens;
}

TextLoader::TextLoader(std::shared_ptr<const Dataset> dataset,
                       std::shared_ptr<const Tokenizer> tokenizer, int64_t most_tokens,
                       LoaderOptions options)
    : dataset_(std::move(dataset)),
      tokenizer_(std::move(tokenizer)),
      most_tokens_(most_tokens),
      options_(std::move(options)) {
  check(options_, dataset_->size());
  if (dataset_->classes().empty() && options_.augment.smoothing > 0.0) {
    fail("label smoothing of {} is for classes; texts without classes have none",
         options_.augment.smoothing);
  }
}

void TextLoader::start(int64_t epoch, int64_t first) {
  check_start(epoch, first, batches());
  order_ = epoch_order(dataset_->size(), options_, epoch);
  next_ = first;
}

std::optional<Batch> TextLoader::next() {
  if (order_.empty()) start(0);
  if (next_ == batches()) return std::nullopt;
  const int64_t begin = next_++ * options_.batch;
  const int64_t end = std::min(begin + options_.batch, dataset_->size());
  Batch batch;
  batch.indices.assign(order_.begin() + begin, order_.begin() + end);
  std::vector<Encoding> encodings;
  std::vector<int64_t> labels;
  std::vector<std::vector<int64_t>> next_tokens;
  const bool packed = dataset_->classes().empty();
  for (const int64_t index : batch.indices) {
    if (packed) {
      TokenSequence sequence = dataset_->sequence(index);
      encodings.push_back(encoding_of(std::move(sequence.tokens)));
      next_tokens.push_back(std::move(sequence.labels));
    } else {
      encodings.push_back(encode(*tokenizer_, dataset_->text(index), most_tokens_));
      labels.push_back(dataset_->label(index));
    }
  }
  batch.inputs = pad_tokens(encodings);
  if (packed) {
    batch.labels = pad_labels(next_tokens, batch.inputs.size(1));
    return batch;
  }
  batch.labels = at::tensor(labels, at::kLong);
  batch.targets =
      smooth_targets(batch.labels, std::ssize(dataset_->classes()), options_.augment.smoothing);
  return batch;
}

}  // namespace pace
