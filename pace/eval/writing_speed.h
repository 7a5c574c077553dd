#pragma once

#include <vector>

#include "pace/models/factory.h"

namespace pace {

/// One model at one budget.
struct Setting {
  const LoadedModel* model = nullptr;
  double budget = 1.0;
};

/// Tokens per second that each setting writes after the prompt, one sequence alone, greedily:
/// medians of several rounds in turn. The first new token, which waits for the whole prompt, is not
/// counted. Throws Error as generate() does.
std::vector<double> writing_speeds(const std::vector<Setting>& settings,
                                   const std::vector<int64_t>& prompt, int64_t tokens);

}  // namespace pace
