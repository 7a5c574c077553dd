#include "pace/adaptive/exits.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "pace/base/error.h"
#include "pace/io/model_folder.h"

namespace pace {

namespace {

constexpr ExitRule kRules[] = {ExitRule::kDact, ExitRule::kEntropy, ExitRule::kConfidence,
                               ExitRule::kPatience, ExitRule::kFixed};

std::vector<double> softmax(const float* scores, int64_t classes) {
  const double most = *std::max_element(scores, scores + classes);
  std::vector<double> probabilities;
  double sum = 0.0;
  for (int64_t c = 0; c < classes; ++c) {
    probabilities.push_back(std::exp(scores[c] - most));
    sum += probabilities.back();
  }
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

int64_t best_of(const std::vector<double>& probabilities) {
  return std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin();
}

/// The greatest value and the next.
template <class Values>
std::pair<double, double> best_two(const Values& values) {
  double best = -std::numeric_limits<double>::infinity(), second = best;
  for (const double value : values) {
    second = std::max(second, std::min(value, best));
    best = std::max(best, value);
  }
  return {best, second};
}

/// As a share of the greatest there can be.
double entropy_of(const std::vector<double>& probabilities) {
  double sum = 0.0;
  for (const double p : probabilities) sum -= p > 0.0 ? p * std::log(p) : 0.0;
  return sum / std::log(static_cast<double>(probabilities.size()));
}

constexpr double kLeast = 1e-12;  ///< of a probability whose logarithm is taken

float log_of(double probability) {
  return static_cast<float>(std::log(std::max(probability, kLeast)));
}

/// The rows of the sequences at these places, which become those of the pass.
Tensor keep(const std::vector<int64_t>& places, const Tensor& states, Pass& pass) {
  std::vector<Tensor> rows;
  std::vector<int64_t> lengths;
  for (const int64_t place : places) {
    lengths.push_back(pass.sequences.length(place));
    rows.push_back(states.narrow(0, pass.sequences.begin(place), lengths.back()));
  }
  pass.sequences = kernels::Sequences(lengths);
  return at::cat(rows);
}

}  // namespace

Tensor accumulate(const Tensor& scores, const Tensor& remaining) {
  const Tensor probabilities = at::softmax(scores, -1);
  Tensor answer = probabilities.select(1, 0);
  for (int64_t n = 1; n < scores.size(1); ++n) {
    const Tensor before = remaining.slice(1, n - 1, n);
    answer = probabilities.select(1, n) * before + answer * (1 - before);
  }
  return answer.clamp_min(kLeast).log();
}

const char* to_string(ExitRule rule) {
  switch (rule) {
    case ExitRule::kDact:
      return "dact";
    case ExitRule::kEntropy:
      return "entropy";
    case ExitRule::kConfidence:
      return "confidence";
    case ExitRule::kPatience:
      return "patience";
    case ExitRule::kFixed:
      return "fixed";
  }
  fail("there is no exit rule with number {}", static_cast<int>(rule));
}

ExitRule exit_rule(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const ExitRule rule : kRules) {
    if (name == to_string(rule)) return rule;
    known.emplace_back(to_string(rule));
  }
  fail("{}: there is no exit rule '{}'; there are {}", where, name, fmt::join(known, ", "));
}

nlohmann::json ExitConfig::to_json() const {
  return {{"rule", to_string(rule)}, {"paper_bound", paper_bound}};
}

ExitConfig ExitConfig::from_json(const nlohmann::json& object, const std::string& where) {
  if (!object.is_object()) fail("{} must be an object, but is {}", where, object.type_name());
  return {exit_rule(string_field(object, "rule", where), where),
          bool_field(object, "paper_bound", where, false)};
}

struct Exits::Head {
  Head(const ExitConfig& config, const DepthSpec& spec, const std::string& name,
       Parameters& parameters) {
    // h = 0.73 where the answer is open, so that blocks in the middle have a say, and a gradient,
    // from the start; less where it is clear.
    constexpr double kHalting = 1.0, kGap = -0.5;
    const auto add = [&](std::optional<kernels::Linear>& layer, const char* part, int64_t out,
                         double bias) {
      const LinearParameters made =
          add_linear(name + part, spec.dim, out, spec.deviation, parameters, bias);
      layer.emplace(made.weight, made.bias);
      macs += static_cast<double>(spec.dim * out);
    };
    add(dense, "dense", spec.dim, 0.0);
    add(classifier, "classifier", spec.classes, 0.0);
    if (config.rule != ExitRule::kDact) return;
    add(halting, "halting", 1, kHalting);
    gap = parameters.add(name + "halting.gap", {1}, Initial::constant(kGap));
  }

  struct Answer {
    Tensor scores;   ///< [examples, classes]
    Tensor halting;  ///< [examples, 1] before the gap is added and the sigmoid; or undefined
  };
  Answer answer(const Tensor& states, Pass& pass) const {
    pass.ledger.charge(macs);
    const Tensor hidden = dense->forward(first_tokens(states, pass), pass.context).tanh();
    return {classifier->forward(hidden, pass.context).to(at::kFloat),
            halting ? halting->forward(hidden.detach(), pass.context).to(at::kFloat) : Tensor()};
  }

  /// The halting outputs h, differentiable.
  Tensor halt(const Answer& answer) const {
    const Tensor best = std::get<0>(answer.scores.detach().topk(2, -1));
    const Tensor lead = best.slice(-1, 0, 1) - best.slice(-1, 1, 2);
    return at::sigmoid(answer.halting + gap * lead);
  }
  /// The same for one example, given its scores and what is `halting` of an answer.
  double halt(const float* scores, float open, int64_t classes) const {
    const auto [best, second] = best_two(std::span(scores, static_cast<size_t>(classes)));
    return 1.0 / (1.0 + std::exp(-(open + gap.item<float>() * (best - second))));
  }

  std::optional<kernels::Linear> dense, classifier, halting;
  Tensor gap;         ///< [1]: what the lead of the best score adds to the halting
  double macs = 0.0;  ///< for one example
};

/// One that is still running.
struct Exits::Example {
  int64_t number = 0;                    ///< in the batch
  double remaining = 1.0;                ///< DACT's p
  std::vector<double> accumulated = {};  ///< DACT's a
  int64_t last = -1, agreed = 0;         ///< the class of the last block, and of how many in a row
};

Exits::Exits(const ExitConfig& config, const DepthSpec& spec, Parameters& parameters)
    : config_(config), spec_(spec) {
  if (spec.classes < 2) fail("exits need a transformer that tells classes apart");
  for (int64_t block = 0; block < spec.blocks; ++block) {
    const std::string name = fmt::format("exit.{}.", block);
    heads_.push_back(std::make_unique<Head>(config, spec, name, parameters));
  }
}

Exits::~Exits() = default;

Tensor Exits::run(const Tensor& states, const Stack& stack, Pass& pass) const {
  return pass.form == Form::kRelaxed ? relaxed(states, stack, pass) : executed(states, stack, pass);
}

Tensor Exits::relaxed(const Tensor& states, const Stack& stack, Pass& pass) const {
  std::vector<Tensor> scores, remaining;
  Tensor current = states;
  for (size_t n = 0; n < heads_.size(); ++n) {
    current = stack.blocks[n]->forward(current, pass);
    const Head::Answer given = heads_[n]->answer(current, pass);
    scores.push_back(given.scores);
    if (!given.halting.defined()) continue;
    const Tensor halt = heads_[n]->halt(given);
    remaining.push_back(n == 0 ? halt : halt * remaining.back());
  }
  Halting halting{at::full({pass.sequences.count()}, spec_.blocks, at::kLong),
                  at::stack(scores, 1)};
  if (!remaining.empty()) halting.remaining = at::cat(remaining, 1);
  Tensor answer = remaining.empty() ? scores.back() : accumulate(halting.scores, halting.remaining);
  pass.ledger.record(std::move(halting));
  return answer;
}

bool Exits::dact_stops(Example& example, const std::vector<double>& probabilities, double halting,
                       int64_t ran, double price) const {
  std::vector<double>& a = example.accumulated;
  a.resize(probabilities.size(), 0.0);
  const double before = example.remaining;
  for (size_t c = 0; c < a.size(); ++c) a[c] = probabilities[c] * before + a[c] * (1.0 - before);
  example.remaining = before * halting;
  const auto [best, runner_up] = best_two(a);
  const auto left = static_cast<double>(spec_.blocks - ran);
  const double p = std::clamp(example.remaining, 0.0, 1.0);
  const double kept = 1.0 - (1.0 - price) * (1.0 - std::pow(1.0 - p, left));
  const double reach =
      config_.paper_bound ? runner_up + (1.0 - price) * p * left : 1.0 - (1.0 - runner_up) * kept;
  return best * kept >= reach;
}

bool Exits::stops(Example& example, const float* scores, double halting, int64_t ran,
                  double price) const {
  const std::vector<double> probabilities = softmax(scores, spec_.classes);
  const int64_t best = best_of(probabilities);
  example.agreed = best == example.last ? example.agreed + 1 : 1;
  example.last = best;
  const double wanted = std::ceil((1.0 - price) * static_cast<double>(spec_.blocks));
  switch (config_.rule) {
    case ExitRule::kDact:
      return dact_stops(example, probabilities, halting, ran, price);
    case ExitRule::kEntropy:
      return entropy_of(probabilities) <= price;
    case ExitRule::kConfidence:
      return probabilities[static_cast<size_t>(best)] >= 1.0 - price;
    case ExitRule::kPatience:
      return static_cast<double>(example.agreed) >= wanted;
    case ExitRule::kFixed:
      return static_cast<double>(ran) >= wanted;
  }
  fail("there is no exit rule with number {}", static_cast<int>(config_.rule));
}

std::vector<int64_t> Exits::answer(std::vector<Example>& running, const Tensor& states, int64_t ran,
                                   Halting& halting, Tensor& answers, Pass& pass) const {
  const Head& head = *heads_[static_cast<size_t>(ran - 1)];
  const Head::Answer given = head.answer(states, pass);
  const Tensor scores = given.scores.to(at::kCPU).contiguous();
  Tensor halts;
  if (given.halting.defined()) halts = given.halting.to(at::kCPU).contiguous();
  std::vector<int64_t> left;
  for (int64_t i = 0; i < std::ssize(running); ++i) {
    Example& example = running[static_cast<size_t>(i)];
    const float* row = scores.const_data_ptr<float>() + i * spec_.classes;
    const double halt =
        halts.defined() ? head.halt(row, halts.const_data_ptr<float>()[i], spec_.classes) : 0.0;
    if (!stops(example, row, halt, ran, pass.price) && ran < spec_.blocks) {
      left.push_back(i);
      continue;
    }
    float* to = answers.mutable_data_ptr<float>() + example.number * spec_.classes;
    for (int64_t c = 0; c < spec_.classes; ++c) {
      to[c] = halts.defined() ? log_of(example.accumulated[static_cast<size_t>(c)]) : row[c];
    }
    halting.blocks.mutable_data_ptr<int64_t>()[example.number] = ran;
  }
  return left;
}

Tensor Exits::executed(const Tensor& states, const Stack& stack, Pass& pass) const {
  const kernels::Sequences whole = pass.sequences;
  Tensor answers = at::empty({whole.count(), spec_.classes});
  Halting halting{at::empty({whole.count()}, at::kLong)};
  std::vector<Example> running(static_cast<size_t>(whole.count()));
  for (int64_t i = 0; i < whole.count(); ++i) running[static_cast<size_t>(i)].number = i;
  Tensor current = states;
  for (int64_t ran = 1; !running.empty(); ++ran) {
    current = stack.blocks[static_cast<size_t>(ran - 1)]->forward(current, pass);
    const std::vector<int64_t> left = answer(running, current, ran, halting, answers, pass);
    if (left.size() == running.size()) continue;
    std::vector<Example> others;
    std::vector<int64_t> numbers;
    for (const int64_t place : left) {
      others.push_back(std::move(running[static_cast<size_t>(place)]));
      numbers.push_back(others.back().number);
    }
    running = std::move(others);
    if (running.empty()) break;
    current = keep(left, current, pass);
    pass.ledger.keep(at::tensor(numbers, at::kLong), pass.sequences);
  }
  pass.sequences = whole;
  pass.ledger.record(std::move(halting));
  return answers.to(states.device());
}

DepthBuilder exits_builder(const ExitConfig& config) {
  return [config](const DepthSpec& spec, Parameters& parameters) -> std::unique_ptr<DepthPolicy> {
    return std::make_unique<Exits>(config, spec, parameters);
  };
}

}  // namespace pace
