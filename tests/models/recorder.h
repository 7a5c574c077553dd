#pragma once

#include <vector>

#include "pace/adaptive/seams.h"

namespace pace::testing_models {

/// Runs all blocks and keeps what they were given and gave.
class Recorder : public DepthPolicy {
 public:
  explicit Recorder(std::vector<Tensor>* states) : states_(states) {}
  Tensor run(const Tensor& states, const Stack& stack, Pass& pass) const override {
    states_->push_back(states);
    for (const auto& block : stack.blocks) {
      states_->push_back(block->forward(states_->back(), pass));
    }
    return stack.readout(states_->back(), pass);
  }

 private:
  std::vector<Tensor>* states_;
};

}  // namespace pace::testing_models
