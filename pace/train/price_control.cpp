#include "pace/train/price_control.h"

#include <algorithm>
#include <cmath>

namespace pace {

namespace {

constexpr int64_t kPoints = 9;
/// Logits of price per share of MACs spent too much: a tenth too much is mended by a few batches,
/// and a batch's noise of a hundredth does not move a choice.
constexpr float kGain = 3.0F;

}  // namespace

PriceControl::PriceControl(double low, double high)
    : low_(low), high_(high), prices_(at::zeros({kPoints})) {}

double PriceControl::price(double budget) const {
  const Place at = place(budget);
  const float* prices = prices_.const_data_ptr<float>();
  return std::lerp(prices[at.left], prices[at.left + 1], at.share);
}

void PriceControl::update(double budget, double excess) {
  const Place at = place(budget);
  float* prices = prices_.mutable_data_ptr<float>();
  const auto step = kGain * static_cast<float>(excess);
  const auto share = static_cast<float>(at.share);
  prices[at.left] += step * (1.0F - share);
  prices[at.left + 1] += step * share;
}

PriceControl::Place PriceControl::place(double budget) const {
  if (high_ <= low_) return {0, 0.0};
  const double position =
      std::clamp((budget - low_) / (high_ - low_), 0.0, 1.0) * static_cast<double>(kPoints - 1);
  const auto left = std::min(static_cast<int64_t>(position), kPoints - 2);
  return {left, position - static_cast<double>(left)};
}

}  // namespace pace
