#include "pace/eval/writing_speed.h"

#include <algorithm>

#include "pace/models/generate.h"

namespace pace {
namespace {

constexpr int kRounds = 5;

double tokens_per_second(const Setting& setting, const std::vector<int64_t>& prompt,
                         int64_t tokens) {
  const Generated written =
      generate(*setting.model, setting.budget, {prompt}, {.most_tokens = tokens});
  return static_cast<double>(tokens - 1) / written.seconds;
}

}  // namespace

std::vector<double> writing_speeds(const std::vector<Setting>& settings,
                                   const std::vector<int64_t>& prompt, int64_t tokens) {
  std::vector<std::vector<double>> speeds(settings.size());
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < settings.size(); ++i) {
      speeds[i].push_back(tokens_per_second(settings[i], prompt, tokens));
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& own : speeds) {
    std::nth_element(own.begin(), own.begin() + kRounds / 2, own.end());
    medians.push_back(own[kRounds / 2]);
  }
  return medians;
}

}  // namespace pace
