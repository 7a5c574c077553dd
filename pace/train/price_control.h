#pragma once

#include <ATen/ATen.h>

namespace pace {

using at::Tensor;

/// The price at which the gates in training meet each budget, steered as training goes: after
/// every batch the price rises by what was spent too much, and falls by what was left. What gates
/// are trained on is so what they will run on once calibrated, also at budgets that they would
/// overspend by themselves.
class PriceControl {
 public:
  /// Budgets between `low` and `high` are steered; all prices begin at 0.
  PriceControl(double low, double high);

  /// The price of a budget, interpolated between those of its neighbours.
  double price(double budget) const;
  /// Tells what share of the dense MACs a batch spent beyond its budget, at price(budget). Where a
  /// budget is out of reach it must be counted from the nearest one that is not, or the price would
  /// rise for ever.
  void update(double budget, double excess);
  /// float [points]: all there is to remember of it in a checkpoint.
  const Tensor& state() const { return prices_; }

 private:
  struct Place {
    int64_t left;
    double share;  ///< of the point right of it
  };
  Place place(double budget) const;

  double low_, high_;
  Tensor prices_;
};

}  // namespace pace
