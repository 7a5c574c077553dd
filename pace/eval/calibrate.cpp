#include "pace/eval/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "pace/base/error.h"

namespace pace {
namespace {

constexpr int64_t kSearchExamples = 256;
constexpr double kTolerance = 0.005;          ///< of the share of MACs when searching a price
constexpr double kInterpolationError = 0.01;  ///< beyond which a point is added between two others
constexpr double kExtremePrice = 1e4;         ///< outweighs any logit
constexpr int kMostEvaluations = 12;
constexpr int kMostHalvings = 3;  ///< of the distance between two budgets
constexpr std::array kGrid{0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 0.87, 1.0};

std::vector<Batch> collect(Loader& loader) {
  std::vector<Batch> batches;
  loader.start(0);
  while (std::optional<Batch> batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

/// At most kSearchExamples examples at even distances, whatever order the classes come in.
std::vector<Batch> thin_out(const std::vector<Batch>& batches) {
  int64_t total = 0;
  for (const Batch& batch : batches) total += batch.labels.size(0);
  const int64_t stride = std::max<int64_t>(1, (total + kSearchExamples - 1) / kSearchExamples);
  std::vector<Batch> thinned;
  int64_t first = 0;  // place in the batch of the next example taken
  for (const Batch& batch : batches) {
    const int64_t size = batch.labels.size(0);
    if (first < size) {
      Batch part;
      part.inputs = batch.inputs.slice(0, first, size, stride).contiguous();
      part.labels = batch.labels.slice(0, first, size, stride);
      part.vocabulary = batch.vocabulary;
      for (size_t i = static_cast<size_t>(first); i < batch.said.size();
           i += static_cast<size_t>(stride)) {
        part.said.push_back(batch.said[i]);
      }
      thinned.push_back(std::move(part));
      first += (size - first + stride - 1) / stride * stride;
    }
    first -= size;
  }
  return thinned;
}

struct Trial {
  double price = 0.0;
  double excess = 0.0;  ///< share of MACs minus the budget; falls as the price rises
};

/// Finds the price at which a model meets a budget.
class PriceSearch {
 public:
  PriceSearch(const LoadedModel& model, std::span<const Batch> examples)
      : model_(model), examples_(examples) {}

  double fraction(double budget, double price) const {
    return score(model_, examples_, budget, price).macs_fraction;
  }

  /// Starts from a price that was right for a budget near by: wider and wider steps until the price
  /// is bracketed, then false position and bisection in turn.
  Trial meet(double budget, double start) const {
    std::optional<Trial> dear, cheap;  // on either side of the budget
    Trial best{start, std::numeric_limits<double>::infinity()};
    double next = start;
    double step = 1.0;
    for (int i = 0; i < kMostEvaluations && step < kExtremePrice; ++i) {
      const Trial trial{next, fraction(budget, next) - budget};
      if (std::abs(trial.excess) < std::abs(best.excess)) best = trial;
      if (std::abs(best.excess) <= kTolerance) break;
      (trial.excess > 0 ? dear : cheap) = trial;
      if (dear && cheap) {
        next = between(*dear, *cheap, i % 3 == 2);
      } else {
        next += trial.excess > 0 ? step : -step;
        step *= 2.0;
      }
    }
    return best;
  }

 private:
  static double between(const Trial& dear, const Trial& cheap, bool bisect) {
    const double share = bisect ? 0.5 : dear.excess / (dear.excess - cheap.excess);
    return std::lerp(dear.price, cheap.price, std::clamp(share, 0.1, 0.9));
  }

  const LoadedModel& model_;
  std::span<const Batch> examples_;
};

/// The cheapest and the dearest budget the model can meet, and the usual ones between.
std::vector<double> reachable_budgets(const PriceSearch& search) {
  // A little inside the ends, which only an infinite price meets: prices are interpolated.
  const double cheapest = search.fraction(kGrid.front(), kExtremePrice);
  const double dearest = search.fraction(1.0, -kExtremePrice);
  const double least = std::min(1.0, std::ceil(1000 * (cheapest + kTolerance)) / 1000);
  const double most =
      dearest >= 1.0 - kTolerance ? 1.0 : std::floor(1000 * (dearest - kTolerance)) / 1000;
  std::vector<double> budgets{least};
  for (const double budget : kGrid) {
    if (budget > least + 2 * kTolerance && budget < most - 2 * kTolerance) {
      budgets.push_back(budget);
    }
  }
  if (most > budgets.back() + kTolerance) budgets.push_back(most);
  return budgets;
}

/// Adds points between two where a budget half-way would not be met by the price half-way, and
/// again between those, to `halvings` levels.
void fill_between(const PriceSearch& search, const CalibrationPoint& low,
                  const CalibrationPoint& high, int halvings,
                  std::vector<CalibrationPoint>& points) {
  if (halvings == 0) return;
  CalibrationPoint middle{.budget = std::midpoint(low.budget, high.budget),
                          .price = std::midpoint(low.price, high.price)};
  const double excess = search.fraction(middle.budget, middle.price) - middle.budget;
  if (std::abs(excess) <= kInterpolationError) return;
  const Trial best = search.meet(middle.budget, middle.price);
  // A rule that counts blocks takes steps: no price between two of them meets a budget between.
  if (std::abs(best.excess) > kInterpolationError) return;
  middle.price = best.price;
  fill_between(search, low, middle, halvings - 1, points);
  points.push_back(middle);
  fill_between(search, middle, high, halvings - 1, points);
}

/// The points with as many between them as interpolated prices need.
std::vector<CalibrationPoint> refine(const PriceSearch& search,
                                     const std::vector<CalibrationPoint>& points,
                                     Reporter& reporter) {
  reporter.start("calibrate: between", static_cast<int64_t>(points.size()) - 1);
  std::vector<CalibrationPoint> refined{points.front()};
  for (size_t i = 1; i < points.size(); ++i) {
    fill_between(search, points[i - 1], points[i], kMostHalvings, refined);
    refined.push_back(points[i]);
    reporter.advance(static_cast<int64_t>(i), fmt::format("{} budgets", refined.size()));
  }
  reporter.finish();
  return refined;
}

/// Those dearer than the last that is as good as the best, but for so much.
void leave_out_untrained(std::vector<CalibrationPoint>& curve, double but_for) {
  const double best = std::ranges::max_element(curve, {}, &CalibrationPoint::metric)->metric;
  while (curve.back().metric < best - but_for) curve.pop_back();
}

}  // namespace

Calibration calibrate(const LoadedModel& model, const LoadedModel& dense, Loader& held_out,
                      Reporter& reporter) {
  if (!model.adaptive()) fail("only an adaptive model can be calibrated; this one is dense");
  const std::vector<Batch> all = collect(held_out);
  const std::vector<Batch> few = thin_out(all);
  const PriceSearch search(model, few);

  const std::vector<double> budgets = reachable_budgets(search);
  reporter.start("calibrate: prices", static_cast<int64_t>(budgets.size()));
  std::vector<CalibrationPoint> points;
  for (const double budget : budgets) {
    const double start = points.empty() ? 0.0 : points.back().price;
    points.push_back({.budget = budget, .price = search.meet(budget, start).price});
    reporter.advance(static_cast<int64_t>(points.size()), fmt::format("budget {:.2f}", budget));
  }
  reporter.finish();

  Calibration calibration;
  calibration.curve = refine(search, points, reporter);
  reporter.start("calibrate: accuracy", static_cast<int64_t>(calibration.curve.size()) + 1);
  calibration.dense_metric = score(dense, all, 1.0, 0.0).accuracy;
  int64_t done = 1;
  reporter.advance(done, fmt::format("dense {:.2f} %", 100 * calibration.dense_metric));
  for (CalibrationPoint& point : calibration.curve) {
    const Score measured = score(model, all, point.budget, point.price);
    point.macs_fraction = measured.macs_fraction;
    point.metric = measured.accuracy;
    reporter.advance(++done, fmt::format("{:.2f} % at {:.1f} % of the MACs", 100 * point.metric,
                                         100 * point.macs_fraction));
  }
  reporter.finish();
  constexpr double kAsGood = 0.005;
  if (model.halting) leave_out_untrained(calibration.curve, kAsGood);
  if (model.mod || model.experts) leave_out_untrained(calibration.curve, 0.0);
  return calibration;
}

}  // namespace pace
