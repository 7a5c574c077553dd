#include "pace/data/packed_text.h"

#include <algorithm>
#include <limits>

#include "pace/base/error.h"

namespace pace {
namespace {

class PackedText : public Dataset {
 public:
  PackedText(std::shared_ptr<const Dataset> documents, const Tokenizer& tokenizer,
             const Packing& packing)
      : documents_(std::move(documents)), packing_(packing) {
    if (packing.length < 1 || packing.stride < 1 || packing.stride > packing.length) {
      fail("sequences of {} tokens that begin {} apart; a stride is from 1 to the length",
           packing.length, packing.stride);
    }
    for (int64_t i = 0; i < documents_->size(); ++i) append(tokenizer, i);
    if (stream_.size() < 2) {
      fail("{} makes {} token(s); a language model needs two, one to foretell the next",
           documents_->name(0), stream_.size());
    }
  }

  /// As many as it takes to ask for every token.
  int64_t size() const override {
    const int64_t after_first = std::max<int64_t>(0, answers() - packing_.length);
    return 1 + (after_first + packing_.stride - 1) / packing_.stride;
  }

  TokenSequence sequence(int64_t index) const override {
    const int64_t begin = index * packing_.stride;
    const int64_t end = std::min(begin + packing_.length, answers());
    const auto from = stream_.begin() + begin, to = stream_.begin() + end;
    TokenSequence sequence{{from, to}, {from + 1, to + 1}};
    if (index > 0) {
      const int64_t asked_before = packing_.length - packing_.stride;
      std::fill_n(sequence.labels.begin(), asked_before, -1);
    }
    return sequence;
  }

  int64_t label(int64_t) const override { return 0; }
  std::string name(int64_t index) const override {
    const int64_t begin = index * packing_.stride;
    const auto after = std::upper_bound(begins_.begin(), begins_.end(), begin);
    const int64_t document = after - begins_.begin() - 1;
    return fmt::format("{}, from token {}", documents_->name(document), begin - *(after - 1) + 1);
  }
  const std::vector<std::string>& classes() const override { return documents_->classes(); }

 private:
  /// Tokens that have one before them.
  int64_t answers() const { return std::ssize(stream_) - 1; }

  void append(const Tokenizer& tokenizer, int64_t document) {
    begins_.push_back(std::ssize(stream_));
    const std::vector<int64_t> ids =
        tokenizer.encode(documents_->text(document).first, std::numeric_limits<int64_t>::max()).ids;
    stream_.insert(stream_.end(), ids.begin(), ids.end());
    const bool separated = !ids.empty() && ids.back() == packing_.separator;
    if (packing_.separator && !separated) stream_.push_back(*packing_.separator);
  }

  std::shared_ptr<const Dataset> documents_;
  Packing packing_;
  std::vector<int64_t> stream_;
  std::vector<int64_t> begins_;  ///< of the documents in the stream
};

}  // namespace

std::shared_ptr<const Dataset> pack(std::shared_ptr<const Dataset> documents,
                                    const Tokenizer& tokenizer, const Packing& packing) {
  return std::make_shared<PackedText>(std::move(documents), tokenizer, packing);
}

}  // namespace pace
