#include "pace/cli/budgets.h"

#include "pace/base/error.h"
#include "pace/cli/options.h"

namespace pace::cli {

void BudgetOptions::declare(CLI::App& app, bool several) {
  auto* budget = app.add_option_function<double>(
                        "--budget", [this](double value) { budgets_ = {value}; },
                        "share of the dense model's operations to spend")
                     ->check(above_to(0, 1))
                     ->type_name("SHARE");
  auto* drop =
      app.add_option_function<std::string>(
             "--max-drop",
             [this](const std::string& text) { max_drop_ = parse_share(text, "--max-drop"); },
             "the cheapest calibrated budget that loses at most this much accuracy, such "
             "as 1% or 0.01")
          ->type_name("SHARE");
  drop->excludes(budget);
  if (several) {
    add_list(app, "--budgets", budgets_, "several budgets to run at, such as 1,0.75,0.5,0.25")
        ->check(above_to(0, 1))
        ->excludes(budget)
        ->excludes(drop);
  }
}

std::vector<double> BudgetOptions::budgets(const LoadedModel& model) const {
  if (max_drop_) {
    if (!model.adaptive()) fail("--max-drop needs an adaptive model, but this one is dense");
    return {model.calibration.cheapest(*max_drop_)};
  }
  return budgets_.empty() ? std::vector<double>{1.0} : budgets_;
}

}  // namespace pace::cli
