#include "pace/eval/evaluate.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "pace/base/error.h"
#include "pace/eval/writing_speed.h"
#include "pace/train/answers.h"

namespace pace {
namespace {

double median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + middle, values.end());
  const double upper = values[middle];
  if (values.size() % 2) return upper;
  return (upper + *std::max_element(values.begin(), values.begin() + middle)) / 2;
}

void append(const Tensor& values, std::vector<int64_t>& to) {
  const Tensor local = values.to(at::kCPU).contiguous();
  const int64_t* begin = local.const_data_ptr<int64_t>();
  to.insert(to.end(), begin, begin + local.numel());
}

/// One model at one budget, and what was seen of it so far.
class Track {
 public:
  Track(const LoadedModel& model, double budget) : model_(model) {
    result_.budget = budget;
    model_.pass_at(budget);  // an impossible budget is refused before anything runs
  }

  void warm_up(const Batch& batch) const {
    Pass pass = model_.pass_at(result_.budget);
    model_.model->forward(batch.inputs, pass);
  }

  void run(const Batch& batch) {
    Pass pass = model_.pass_at(result_.budget);
    const auto begin = std::chrono::steady_clock::now();
    const Tensor logits = model_.model->forward(batch.inputs, pass);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    const Tensor macs = pass.ledger.macs();
    runs_.push_back({elapsed.count(), macs.sum().item<double>(), batch.labels.size(0)});
    answers_ += compare(logits, batch, pass.ledger.sequences());
    has_classes_ = batch.labels.dim() == 1;
    result_.items += batch.labels.size(0);
    add_macs(macs, model_.model->dense_macs(batch.inputs));
    for (size_t i = 0; i < pass.ledger.decisions().size(); ++i) {
      add_choices(i, pass.ledger.decisions()[i]);
    }
    if (pass.ledger.halting()) append(pass.ledger.halting()->blocks, result_.example_blocks);
    if (has_classes_) append(logits.argmax(-1), result_.predicted);
    add_units(units_of(model_, pass.ledger));
    for (const Dispatch& dispatch : pass.ledger.dispatches()) add_experts(dispatch);
    deciding_ += pass.ledger.deciding();
  }

  Setting setting() const { return {&model_, result_.budget}; }

  /// `dense` ran the same batches.
  Result finish(const Track& dense) const {
    Result result = result_;
    result.accuracy = answers_.accuracy();
    if (!has_classes_) result.bits = answers_.bits();
    if (answers_.edits.reference_words > 0) {
      result.word_error_rate = answers_.edits.word_error_rate();
    }
    result.macs = macs_ / static_cast<double>(result.items);
    result.macs_fraction = macs_ / dense.macs_;
    result.deciding_fraction = deciding_ / dense.macs_;
    count_exits(result);
    const std::vector<bool> here = disturbed(), there = dense.disturbed();
    double seconds = 0.0, dense_seconds = 0.0;
    int64_t items = 0;
    for (size_t i = 0; i < runs_.size(); ++i) {
      if (here[i] || there[i]) continue;
      seconds += runs_[i].seconds;
      dense_seconds += dense.runs_[i].seconds;
      items += runs_[i].items;
    }
    result.time_fraction = seconds / dense_seconds;
    result.seconds_per_item = seconds / static_cast<double>(items);
    return result;
  }

 private:
  /// What it took to run one batch.
  struct Run {
    double seconds, macs;
    int64_t items;
  };

  /// Which batches took so long for their work that something else must have had the machine.
  std::vector<bool> disturbed() const {
    constexpr double kLongest = 3.0;  // times the median over batches
    std::vector<double> per_mac;
    for (const Run& run : runs_) per_mac.push_back(run.seconds / run.macs);
    const double limit = kLongest * median(per_mac);
    std::vector<bool> out;
    for (const double each : per_mac) out.push_back(each > limit);
    return out;
  }

  void add_macs(const Tensor& macs, const Tensor& dense_macs) {
    macs_ += macs.sum().item<double>();
    const Tensor fractions = (macs / dense_macs).to(at::kFloat);
    const float* begin = fractions.const_data_ptr<float>();
    result_.example_fractions.insert(result_.example_fractions.end(), begin,
                                     begin + fractions.numel());
  }

  void count_exits(Result& result) const {
    if (result.example_blocks.empty()) return;
    const json& config = model_.model->config();
    const int64_t most = integer_field(config, "num_hidden_layers", "the model's config");
    result.exits.assign(static_cast<size_t>(most), 0);
    result.blocks = 0.0;
    for (const int64_t blocks : result.example_blocks) {
      ++result.exits.at(static_cast<size_t>(blocks - 1));
      result.blocks += static_cast<double>(blocks) / static_cast<double>(result.items);
    }
  }

  void add_choices(size_t index, const Decision& decision) {
    const int64_t widths = decision.cost.size(0);
    if (index == result_.choices.size()) {
      result_.choices.push_back({decision.site, std::vector<int64_t>(widths, 0)});
    }
    const Tensor counts = at::bincount(decision.choice, {}, widths);
    for (int64_t k = 0; k < widths; ++k) {
      result_.choices[index].tokens[k] += counts[k].item<int64_t>();
    }
  }

  void add_experts(const Dispatch& dispatch) {
    std::vector<ExpertTokens>& all = result_.experts;
    auto own = std::ranges::lower_bound(all, dispatch.block, {}, &ExpertTokens::block);
    if (own == all.end() || own->block != dispatch.block) {
      const auto experts = static_cast<size_t>(dispatch.experts);
      own = all.insert(own, {dispatch.block, std::vector<int64_t>(experts, 0)});
    }
    for (int64_t expert = 0; expert < dispatch.experts; ++expert) {
      own->tokens[static_cast<size_t>(expert)] += dispatch.choice.eq(expert).sum().item<int64_t>();
    }
    own->none += dispatch.choice.eq(dispatch.experts).sum().item<int64_t>();
  }

  void add_units(std::vector<StageUnits> units) {
    for (size_t i = 0; i < result_.units.size(); ++i) {
      units[i].run += result_.units[i].run;
      units[i].places += result_.units[i].places;
    }
    result_.units = std::move(units);
  }

  const LoadedModel& model_;
  Result result_;
  Answers answers_;
  bool has_classes_ = true;
  double macs_ = 0.0, deciding_ = 0.0;
  std::vector<Run> runs_;
};

/// Runs every track over every batch and notes which examples those were.
void run_in_turn(std::vector<Track>& tracks, Loader& loader, Evaluation& evaluation,
                 Reporter& reporter) {
  std::vector<int64_t>& indices = evaluation.indices;
  loader.start(0);
  reporter.start("evaluate", loader.batches());
  for (size_t turn = 0; std::optional<Batch> batch = loader.next(); ++turn) {
    if (batch->labels.size(0) > 0) {
      if (indices.empty()) {
        for (const Track& track : tracks) track.warm_up(*batch);
      }
      // Begin with another track each time, so that none always profits from what ran before it.
      for (size_t i = 0; i < tracks.size(); ++i) tracks[(turn + i) % tracks.size()].run(*batch);
      indices.insert(indices.end(), batch->indices.begin(), batch->indices.end());
      if (batch->labels.dim() == 1) append(batch->labels, evaluation.labels);
    }
    reporter.advance(static_cast<int64_t>(turn) + 1);
  }
  reporter.finish();
  if (indices.empty()) fail("there is no example to evaluate on");
}

json to_json(const Result& result) {
  json object = {{"budget", result.budget},
                 {"accuracy", std::isnan(result.accuracy) ? json() : json(result.accuracy)},
                 {"macs", result.macs},
                 {"macs_fraction", result.macs_fraction},
                 {"time_fraction", result.time_fraction},
                 {"seconds_per_item", result.seconds_per_item},
                 {"items", result.items}};
  if (!result.choices.empty()) {
    json& choices = object["choices"] = json::array();
    for (const SiteChoices& part : result.choices) {
      choices.push_back({{"site", part.site}, {"tokens", part.tokens}});
    }
  }
  if (!std::isnan(result.bits)) {
    object["bits"] = result.bits;
    object["perplexity"] = result.perplexity();
  }
  if (!std::isnan(result.word_error_rate)) {
    object["character_error_rate"] = 1.0 - result.accuracy;
    object["word_error_rate"] = result.word_error_rate;
  }
  if (!std::isnan(result.tokens_per_second)) {
    object["tokens_per_second"] = result.tokens_per_second;
  }
  if (!result.experts.empty()) {
    json& experts = object["experts"] = json::array();
    for (const ExpertTokens& part : result.experts) {
      experts.push_back({{"block", part.block}, {"tokens", part.tokens}, {"none", part.none}});
    }
  }
  if (!result.units.empty()) object["units"] = to_json(result.units);
  if (!result.units.empty() || !result.experts.empty()) {
    object["deciding_fraction"] = result.deciding_fraction;
  }
  if (!result.exits.empty()) {
    object["blocks"] = result.blocks;
    object["exits"] = result.exits;
  }
  return object;
}

/// How fast each track writes after the first half of the first example; nothing where one of them
/// writes nothing, or the example is too short.
std::vector<double> measure_writing(const std::vector<Track>& tracks, Loader& loader) {
  constexpr int64_t kTokens = 32;
  std::vector<Setting> settings;
  for (const Track& track : tracks) {
    settings.push_back(track.setting());
    if (!settings.back().model->model->remember(1)) return {};
  }
  loader.start(0);
  const Tensor tokens = loader.next().value().inputs[0].select(1, 0).contiguous();
  const int64_t length = tokens.ge(0).sum().item<int64_t>(), half = length / 2;
  if (length < 4) return {};
  const int64_t* first = tokens.const_data_ptr<int64_t>();
  return writing_speeds(settings, {first, first + half}, std::min(kTokens, length - half));
}

/// The relaxed form, in which tokens compete and are judged one by one too.
Competition compete(const LoadedModel& model, Loader& loader, Reporter& reporter) {
  Answers answers;
  double macs = 0.0, dense_macs = 0.0, alike = 0.0;
  int64_t tokens = 0, batches = 0;
  loader.start(0);
  reporter.start("compete", loader.batches());
  while (const std::optional<Batch> batch = loader.next()) {
    Pass pass;
    pass.form = Form::kRelaxed;
    pass.context.type = model.type;
    const Tensor logits = model.model->forward(batch->inputs, pass);
    answers += compare(logits, *batch, pass.ledger.sequences());
    macs += pass.ledger.macs().sum().item<double>();
    dense_macs += model.model->dense_macs(batch->inputs).sum().item<double>();
    for (const Routing& routing : pass.ledger.routings()) {
      alike += routing.logits.ge(0.0).eq(routing.chosen).sum().item<double>();
      tokens += routing.chosen.numel();
    }
    reporter.advance(++batches);
  }
  reporter.finish();
  return {answers.accuracy(), answers.bits(), macs / dense_macs,
          alike / static_cast<double>(tokens)};
}

/// Adds up accuracy and MACs over batches at one setting.
class Scorer {
 public:
  Scorer(const LoadedModel& model, double budget, double price)
      : model_(model), budget_(budget), price_(price) {}

  void add(const Batch& batch) {
    if (batch.labels.size(0) == 0) return;
    Pass pass;
    pass.budget = budget_;
    pass.price = price_;
    const Tensor logits = model_.model->forward(batch.inputs, pass);
    answers_ += compare(logits, batch, pass.ledger.sequences());
    items_ += batch.labels.size(0);
    const Tensor fractions = pass.ledger.macs() / model_.model->dense_macs(batch.inputs);
    fraction_ += fractions.sum().item<double>();
  }

  Score result() const {
    if (items_ == 0) fail("there is no example to measure accuracy and compute on");
    const double items = static_cast<double>(items_);
    return {answers_.accuracy(), fraction_ / items, answers_.bits()};
  }

 private:
  const LoadedModel& model_;
  double budget_, price_;
  Answers answers_;
  int64_t items_ = 0;
  double fraction_ = 0.0;
};

}  // namespace

std::vector<StageUnits> units_of(const LoadedModel& model, const Ledger& ledger) {
  std::vector<StageUnits> units;
  for (const Ponder& stage : ledger.ponders()) {
    units.push_back(
        {stage.stage, stage.units.sum().item<int64_t>(), stage.units.numel(), stage.most});
  }
  if (model.experts && model.experts->no_op > 0.0) {
    StageUnits mlps{"mlps", 0, ledger.sequences().rows(), std::ssize(model.experts->blocks)};
    for (const Dispatch& dispatch : ledger.dispatches()) {
      mlps.run += dispatch.choice.lt(dispatch.experts).sum().item<int64_t>();
    }
    units.push_back(std::move(mlps));
  }
  return units;
}

json to_json(const std::vector<StageUnits>& units) {
  json stages = json::array();
  for (const StageUnits& stage : units) {
    stages.push_back({{"stage", stage.stage}, {"mean", stage.mean()}, {"most", stage.most}});
  }
  return stages;
}

double mean_units(const std::vector<StageUnits>& units) {
  double sum = 0.0;
  for (const StageUnits& stage : units) sum += stage.mean();
  return sum;
}

Evaluation evaluate(const LoadedModel& model, const LoadedModel* dense, Loader& loader,
                    const std::vector<double>& budgets, Reporter& reporter) {
  const at::NoGradGuard no_grad;
  const bool measures_itself = !dense && !model.adaptive();
  const bool stand_in_needed = !dense && model.adaptive();
  std::optional<LoadedModel> stand_in;
  if (stand_in_needed) {
    stand_in = build_dense(model.model->config(), "the adaptive model's config", nullptr, {});
  }
  const LoadedModel& reference = dense ? *dense : stand_in ? *stand_in : model;

  std::vector<Track> tracks;
  tracks.emplace_back(reference, 1.0);
  for (const double budget : budgets) {
    if (measures_itself) {
      model.pass_at(budget);
    } else {
      tracks.emplace_back(model, budget);
    }
  }
  Evaluation evaluation;
  evaluation.classes = model.model->labels();
  run_in_turn(tracks, loader, evaluation, reporter);
  if (model.mod && !model.mod->random) evaluation.competition = compete(model, loader, reporter);
  evaluation.broken = loader.broken();
  const std::vector<double> writing = measure_writing(tracks, loader);
  const auto finish = [&](size_t i) {
    Result result = tracks[i].finish(tracks[0]);
    if (!writing.empty()) result.tokens_per_second = writing[i];
    return result;
  };
  evaluation.dense = finish(0);
  if (stand_in) {
    evaluation.dense.accuracy = evaluation.dense.bits = std::numeric_limits<double>::quiet_NaN();
  }
  if (measures_itself) evaluation.budgets.assign(budgets.size(), evaluation.dense);
  for (size_t i = 1; i < tracks.size(); ++i) {
    evaluation.budgets.push_back(finish(i));
  }
  return evaluation;
}

const Result& nearest_half(const std::vector<Result>& results) {
  return *std::min_element(results.begin(), results.end(), [](const Result& a, const Result& b) {
    return std::abs(a.budget - 0.5) < std::abs(b.budget - 0.5);
  });
}

std::vector<ClassResult> by_class(const Evaluation& evaluation, const Result& result) {
  std::vector<ClassResult> classes;
  for (const std::string& name : evaluation.classes) classes.push_back({name});
  for (size_t i = 0; i < evaluation.labels.size(); ++i) {
    ClassResult& own = classes.at(static_cast<size_t>(evaluation.labels[i]));
    ++own.items;
    own.accuracy += result.predicted.at(i) == evaluation.labels[i] ? 1.0 : 0.0;
    own.macs_fraction += result.example_fractions.at(i);
  }
  std::erase_if(classes, [](const ClassResult& each) { return each.items == 0; });
  for (ClassResult& each : classes) {
    each.accuracy /= static_cast<double>(each.items);
    each.macs_fraction /= static_cast<double>(each.items);
  }
  return classes;
}

json to_json(const Evaluation& evaluation) {
  json budgets = json::array();
  for (const Result& result : evaluation.budgets) {
    budgets.push_back(to_json(result));
    for (const ClassResult& each : by_class(evaluation, result)) {
      budgets.back()["classes"].push_back({{"name", each.name},
                                           {"items", each.items},
                                           {"accuracy", each.accuracy},
                                           {"macs_fraction", each.macs_fraction}});
    }
  }
  json object = {{"dense", to_json(evaluation.dense)},
                 {"budgets", std::move(budgets)},
                 {"broken", evaluation.broken}};
  if (const auto& top_k = evaluation.competition) {
    object["top_k"] = {{"accuracy", top_k->accuracy},
                       {"bits", top_k->bits},
                       {"macs_fraction", top_k->macs_fraction},
                       {"alike", top_k->alike}};
  }
  return object;
}

Score score(const LoadedModel& model, Loader& loader, double budget, double price) {
  const at::NoGradGuard no_grad;
  Scorer scorer(model, budget, price);
  loader.start(0);
  while (const std::optional<Batch> batch = loader.next()) scorer.add(*batch);
  return scorer.result();
}

Score score(const LoadedModel& model, std::span<const Batch> batches, double budget, double price) {
  const at::NoGradGuard no_grad;
  Scorer scorer(model, budget, price);
  for (const Batch& batch : batches) scorer.add(batch);
  return scorer.result();
}

}  // namespace pace
