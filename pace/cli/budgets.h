#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <vector>

#include "pace/models/factory.h"

namespace pace::cli {

/// The settings at which a model runs: --budget B, or --max-drop D for the cheapest calibrated
/// point, and where a command takes several, --budgets LIST. What is no budget is refused when the
/// options are parsed.
class BudgetOptions {
 public:
  /// `several`: whether --budgets is offered too.
  void declare(CLI::App& app, bool several);

  bool given() const { return max_drop_ || !budgets_.empty(); }
  /// Throws Error when the model's curve has no such point. When no option was given: 1.
  std::vector<double> budgets(const LoadedModel& model) const;

 private:
  std::vector<double> budgets_;
  std::optional<double> max_drop_;
};

}  // namespace pace::cli
