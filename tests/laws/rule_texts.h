#pragma once

#include <sstream>

#include "pace/train/trainer.h"

namespace pace::laws {

class Rule : public Dataset {
 public:
  int64_t size() const override { return 24; }
  int64_t label(int64_t) const override { return 0; }
  std::string name(int64_t index) const override { return std::to_string(index); }
  const std::vector<std::string>& classes() const override { return none_; }

 private:
  std::vector<std::string> none_;
};

/// Texts in which a token tells the next one.
class RuleLoader : public Loader {
 public:
  int64_t batches() const override { return 4; }
  const Dataset& dataset() const override { return rule_; }
  void start(int64_t, int64_t first) override { next_ = first; }
  std::optional<Batch> next() override {
    if (next_ == batches()) return std::nullopt;
    constexpr int64_t kTexts = 6, kTokens = 20;
    Tensor tokens = at::empty({kTexts, kTokens + 1}, at::kLong);
    for (int64_t text = 0; text < kTexts; ++text) {
      int64_t token = (next_ * kTexts + text) * 7 % 50;
      for (int64_t i = 0; i <= kTokens; ++i, token = (3 * token + 1) % 50) tokens[text][i] = token;
    }
    ++next_;
    Batch batch;
    const Tensor asked = tokens.narrow(1, 0, kTokens);
    batch.inputs = at::stack({asked, at::zeros_like(asked)}, -1);
    batch.labels = tokens.narrow(1, 1, kTokens).contiguous();
    batch.indices.resize(kTexts);
    return batch;
  }
  int64_t broken() const override { return 0; }

 private:
  Rule rule_;
  int64_t next_ = 0;
};

/// The figures that a training wrote, in order.
inline std::vector<json> figures_in(const fs::path& folder) {
  std::istringstream lines(read_text(folder / Trainer::kMetrics));
  std::vector<json> figures;
  for (std::string line; std::getline(lines, line);) figures.push_back(json::parse(line));
  return figures;
}

}  // namespace pace::laws
