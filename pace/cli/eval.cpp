#include "pace/cli/eval.h"

#include <cmath>
#include <iostream>

#include "pace/base/error.h"
#include "pace/cli/budgets.h"
#include "pace/cli/setup.h"
#include "pace/cli/table.h"
#include "pace/eval/report.h"

namespace pace::cli {
namespace {

const std::vector<double> kBudgets{1.0, 0.75, 0.5, 0.25};
constexpr size_t kTexts = 3;  ///< in the report for each number of blocks

/// Another model measured on the same data.
struct Baseline {
  std::string name, folder;
};

Baseline parse_baseline(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
    throw CLI::ValidationError("--baseline", text + " is not of the form NAME=FOLDER");
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

/// The budgets the model can have; a warning about the others.
std::vector<double> possible(const LoadedModel& model, const std::vector<double>& budgets,
                             const std::string& name, Reporter& reporter) {
  if (!model.adaptive()) return {1.0};
  std::vector<double> kept;
  for (const double budget : budgets) {
    try {
      model.pass_at(budget);
      kept.push_back(budget);
    } catch (const Error& error) {
      reporter.warn(fmt::format("{} is left out at budget {}: {}", name, budget, error.what()));
    }
  }
  if (kept.empty()) fail("{} can run at none of the budgets {}", name, fmt::join(budgets, ", "));
  return kept;
}

/// What is printed of a result, under its heading.
using Cells = std::vector<std::pair<const char*, std::string>>;

Cells cells(const std::string& name, const Result& result, const Result& adaptive) {
  Cells out{{"", name}};
  const bool speech = !std::isnan(adaptive.word_error_rate);
  if (speech) {
    out.emplace_back("CER", percent(1.0 - result.accuracy));
    out.emplace_back("WER", percent(result.word_error_rate));
  } else {
    out.emplace_back("accuracy", percent(result.accuracy));
  }
  if (!speech && !std::isnan(adaptive.bits)) {
    const bool known = !std::isnan(result.bits);
    out.emplace_back("bits", known ? fmt::format("{:.3f}", result.bits) : "-");
    out.emplace_back("perplexity", known ? fmt::format("{:.3f}", result.perplexity()) : "-");
  }
  if (!adaptive.units.empty()) {
    const bool halts = !result.units.empty();
    out.emplace_back("units", halts ? fmt::format("{:.2f}", mean_units(result.units)) : "all");
  }
  if (!std::isnan(adaptive.tokens_per_second)) {
    out.emplace_back("tokens/s", fmt::format("{:.0f}", result.tokens_per_second));
  }
  out.insert(out.end(), {{"operations", percent(result.macs_fraction)},
                         {"time", percent(result.time_fraction)},
                         {"per example", duration(result.seconds_per_item)},
                         {"examples", std::to_string(result.items)}});
  return out;
}

class Eval : public Command {
 public:
  void declare(CLI::App& app) override;
  int run(Terminal& terminal) override;

 private:
  Evaluation measure(const LoadedModel& model, const std::string& folder,
                     std::shared_ptr<const Dataset> dataset, const std::vector<double>& budgets,
                     Terminal& terminal) const;
  Series measure_baseline(const Baseline& baseline, const Result& dense,
                          const std::vector<double>& budgets, Terminal& terminal) const;
  json results(const Evaluation& evaluation, const std::vector<Series>& series) const;
  void print(const Evaluation& evaluation, const std::vector<Series>& series) const;
  std::vector<TrainingCurve> training_curves() const;
  void add_maps(const LoadedModel& model, const Dataset& dataset, double budget,
                Report& page) const;
  void report(const LoadedModel& model, const Dataset& dataset, const Evaluation& evaluation,
              std::vector<Series> series) const;

  const CLI::App* app_ = nullptr;
  DataOptions data_;
  BudgetOptions budget_;
  ThreadOptions threads_;
  std::string model_, dense_folder_, report_, results_;
  at::ScalarType type_ = at::kFloat;
  std::vector<Baseline> baselines_;
  int64_t heat_maps_ = 8;
  bool force_ = false, json_ = false;
  std::optional<LoadedModel> dense_;
};

void Eval::declare(CLI::App& app) {
  app_ = &app;
  app.add_option("--model", model_, "model folder")->required();
  app.add_option("--dense", dense_folder_,
                 "folder of the dense original, measured beside it (without: times are compared "
                 "with a model of its shape)");
  data_.declare(app, "data to measure on");
  app.add_option("--stride", data_.stride,
                 "language models: how far apart sequences begin, in tokens; each is asked only "
                 "for what those before it were not (sliding window; 0: --sequence)")
      ->check(at_least(0));
  budget_.declare(app, true);
  add_dtype(app, type_);
  app.add_option_function<std::vector<std::string>>(
         "--baseline",
         [this](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) baselines_.push_back(parse_baseline(text));
         },
         "another model on the same data; may be given several times")
      ->type_name("NAME=FOLDER")
      ->allow_extra_args(false);
  app.add_option("--report", report_, "write a self-contained HTML page here");
  app.add_option("--results", results_, "write the results as JSON here, whatever is printed");
  app.add_option(
         "--heat-maps", heat_maps_,
         "pictures, sounds or texts in the report with the compute per patch, position, moment or "
         "token")
      ->check(at_least(0));
  app.add_flag("--force", force_, "replace a report or results that exist");
  threads_.declare(app);
  app.add_flag("--json", json_, "print the results as JSON");
}

Evaluation Eval::measure(const LoadedModel& model, const std::string& folder,
                         std::shared_ptr<const Dataset> dataset, const std::vector<double>& budgets,
                         Terminal& terminal) const {
  const std::unique_ptr<Loader> loader =
      make_loader(model, folder, std::move(dataset), data_.loader(0), terminal);
  return evaluate(model, dense_ ? &*dense_ : nullptr, *loader, budgets, terminal);
}

Series Eval::measure_baseline(const Baseline& baseline, const Result& dense,
                              const std::vector<double>& budgets, Terminal& terminal) const {
  LoadedModel model = load_model(fs::path(baseline.folder));
  model.type = type_;
  Evaluation evaluation =
      measure(model, baseline.folder, open_data_for(model, baseline.folder, data_, terminal),
              possible(model, budgets, baseline.name, terminal), terminal);
  for (Result& point : evaluation.budgets) {
    // Shares are of the one dense model, whatever the baseline was made from.
    point.macs_fraction = point.macs / dense.macs;
    if (!model.adaptive()) point.budget = point.macs_fraction;
    if (!dense_) point.time_fraction = point.seconds_per_item / dense.seconds_per_item;
  }
  return {baseline.name, std::move(evaluation.budgets)};
}

json Eval::results(const Evaluation& evaluation, const std::vector<Series>& series) const {
  json object = to_json(evaluation);
  object["model"] = model_;
  object["data"] = data_.data;
  object["baselines"] = json::array();
  for (size_t i = 0; i < series.size(); ++i) {
    const json points = to_json(Evaluation{evaluation.dense, series[i].points, 0})["budgets"];
    object["baselines"].push_back(
        {{"name", series[i].name}, {"folder", baselines_[i].folder}, {"points", points}});
  }
  return object;
}

void Eval::print(const Evaluation& evaluation, const std::vector<Series>& series) const {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const std::string& name, const Result& result) {
    header.clear();
    rows.emplace_back();
    for (const auto& [heading, cell] : cells(name, result, evaluation.budgets.front())) {
      header.emplace_back(heading);
      rows.back().push_back(cell);
    }
  };
  add("dense", evaluation.dense);
  for (const Result& result : evaluation.budgets) {
    add(fmt::format("budget {:g}", result.budget), result);
  }
  for (const Series& baseline : series) {
    for (const Result& result : baseline.points) {
      add(fmt::format("{} at {:.3g}", baseline.name, result.budget), result);
    }
  }
  std::cout << format_table(header, rows);
  if (const auto& top_k = evaluation.competition) {
    std::cout << fmt::format(
        "where tokens compete for routed blocks: {:.3f} bits, {} of the operations; one by "
        "one {} of the tokens are routed alike\n",
        top_k->bits, percent(top_k->macs_fraction), percent(top_k->alike));
  }
  if (evaluation.broken > 0) {
    std::cout << fmt::format("{} examples could not be read and were left out\n",
                             evaluation.broken);
  }
}

/// Of all models, in the order of the other charts.
std::vector<TrainingCurve> Eval::training_curves() const {
  std::vector<TrainingCurve> curves{read_training_curve("adaptive", model_)};
  for (const Baseline& baseline : baselines_) {
    curves.push_back(read_training_curve(baseline.name, baseline.folder));
  }
  if (!dense_folder_.empty()) curves.push_back(read_training_curve("dense", dense_folder_));
  return curves;
}

void Eval::add_maps(const LoadedModel& model, const Dataset& dataset, double budget,
                    Report& page) const {
  page.heat_map_budget = budget;
  // Where examples leave at different blocks, their maps would not mean the same.
  const bool by_place =
      (model.acm && !model.exits) || (model.halting && model.halting->by_position());
  if (by_place && model.modality() == Modality::kPicture) {
    page.heat_maps =
        heat_maps(model, image_processor_of(model, model_), dataset, budget, heat_maps_, 0);
  }
  if (by_place && model.modality() == Modality::kSound) {
    page.sound_maps =
        sound_maps(model, audio_processor_of(model, model_), ctc_vocabulary_of(model, model_).get(),
                   dataset, budget, heat_maps_, 0);
  }
  if (has_text_maps(model)) {
    page.text_maps = text_maps(model, *tokenizer_of(model, model_), dataset, budget, heat_maps_, 0);
  }
}

void Eval::report(const LoadedModel& model, const Dataset& dataset, const Evaluation& evaluation,
                  std::vector<Series> series) const {
  Report page;
  page.title = folder_name(model_);
  page.evaluation = evaluation;
  page.baselines = std::move(series);
  page.configuration = {{"command", "eval"},
                        {"version", kVersion},
                        {"options", options_json(*app_)},
                        {"config", full_config(model)}};
  if (model.preprocessor) page.configuration["preprocessor"] = *model.preprocessor;
  const std::vector<std::string> labels = model.model->labels();
  const Result& half = nearest_half(evaluation.budgets);
  if (heat_maps_ > 0) add_maps(model, dataset, half.budget, page);
  if (model.exits && model.reads_text()) {
    page.examples_budget = half.budget;
    page.text_examples = text_examples(half, evaluation.indices, dataset, labels, kTexts);
  }
  if (!std::isnan(half.bits)) page.training = training_curves();
  write_report(report_, page);
}

int Eval::run(Terminal& terminal) {
  threads_.apply();
  for (const std::string& file : {report_, results_}) {
    if (!file.empty() && !force_ && fs::exists(file)) {
      fail("'{}' exists already; choose another name or replace it with --force", file);
    }
  }
  LoadedModel model = load_model(fs::path(model_));
  model.type = type_;
  if (!dense_folder_.empty()) {
    dense_ = load_dense(dense_folder_, "--dense names the original it was made from");
    dense_->type = type_;
    const auto vocabulary = [](const LoadedModel& of) {
      return of.model->config().value("vocab_size", json());
    };
    if (vocabulary(*dense_) != vocabulary(model)) {
      fail("'{}' and '{}' have different vocabularies; --dense must be the original of --model",
           dense_folder_, model_);
    }
    if (dense_->model->labels() != model.model->labels()) {
      fail("'{}' and '{}' have different labels; --dense must be the original of --model",
           dense_folder_, model_);
    }
  }
  const std::vector<double> budgets =
      budget_.given() ? budget_.budgets(model) : possible(model, kBudgets, model_, terminal);
  const std::shared_ptr<const Dataset> dataset = open_data_for(model, model_, data_, terminal);
  const Evaluation evaluation = measure(model, model_, dataset, budgets, terminal);
  std::vector<Series> series;
  for (const Baseline& baseline : baselines_) {
    series.push_back(measure_baseline(baseline, evaluation.dense, budgets, terminal));
  }
  const std::string text = dump(results(evaluation, series), 2) + "\n";
  if (!results_.empty()) write_text(results_, text);
  if (json_) {
    std::cout << text;
  } else {
    print(evaluation, series);
  }
  if (!report_.empty()) report(model, *dataset, evaluation, std::move(series));
  return 0;
}

}  // namespace

std::unique_ptr<Command> make_eval() { return std::make_unique<Eval>(); }

}  // namespace pace::cli
