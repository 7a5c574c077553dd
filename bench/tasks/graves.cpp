// Two tasks of arXiv 1603.08983, learned by an LSTM whose time steps may be computed several times:
//   parity    one vector with -1, 0 and 1; the answer is whether the number of ones is odd
//   addition  a number of 1 to 5 digits at each of 2 to 5 time steps, and the sum so far from the
//             second on, digit by digit
// Prints, as training goes, the error of executed answers on fresh examples and the mean number of
// steps, the latter also by how hard the examples are.

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <random>

#include "pace/adaptive/halting.h"
#include "pace/models/lstm.h"
#include "pace/train/optimizer.h"

namespace pace {
namespace {

struct Options {
  std::string task = "parity", method = "act";
  int64_t bits = 64, hidden = 128, steps = 10, batch = 128, iterations = 20000, report = 1000;
  double ponder = 1e-3, rate = 1e-3;
  uint64_t seed = 1;
};

/// Inputs [rows, in] of sequences one after another, and labels int64 [rows, answers], -1 where
/// nothing is asked.
struct Examples {
  kernels::Sequences sequences;
  Tensor inputs, labels;
  std::vector<int64_t> hardness;  ///< of each row: bits that are not 0, or digits of the number
};

constexpr int64_t kDigits = 5, kBlank = 10, kSymbols = 11;

class Task {
 public:
  virtual ~Task() = default;
  virtual int64_t in() const = 0;
  virtual int64_t answers() const = 0;  ///< for one row
  virtual int64_t classes() const = 0;
  virtual Examples draw(int64_t count, std::mt19937_64& random) const = 0;
};

int64_t uniform(int64_t low, int64_t high, std::mt19937_64& random) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

class Parity : public Task {
 public:
  explicit Parity(int64_t bits) : bits_(bits) {}
  int64_t in() const override { return bits_; }
  int64_t answers() const override { return 1; }
  int64_t classes() const override { return 2; }

  Examples draw(int64_t count, std::mt19937_64& random) const override {
    Examples drawn{kernels::Sequences::equal(count, 1),
                   at::zeros({count, bits_}),
                   at::empty({count, 1}, at::kLong),
                   {}};
    float* bit = drawn.inputs.mutable_data_ptr<float>();
    for (int64_t i = 0; i < count; ++i, bit += bits_) {
      const int64_t set = uniform(1, bits_, random);
      int64_t ones = 0;
      for (int64_t j = 0; j < set; ++j) ones += (bit[j] = uniform(0, 1, random) ? 1.0F : -1.0F) > 0;
      std::shuffle(bit, bit + bits_, random);
      drawn.labels.mutable_data_ptr<int64_t>()[i] = ones % 2;
      drawn.hardness.push_back(set);
    }
    return drawn;
  }

 private:
  int64_t bits_;
};

class Addition : public Task {
 public:
  int64_t in() const override { return kDigits * 10; }
  int64_t answers() const override { return kDigits + 1; }
  int64_t classes() const override { return kSymbols; }

  Examples draw(int64_t count, std::mt19937_64& random) const override {
    std::vector<int64_t> lengths(static_cast<size_t>(count));
    for (int64_t& length : lengths) length = uniform(2, 5, random);
    Examples drawn{kernels::Sequences(lengths), {}, {}, {}};
    drawn.inputs = at::zeros({drawn.sequences.rows(), in()});
    drawn.labels = at::full({drawn.sequences.rows(), answers()}, -1, at::kLong);
    float* digit = drawn.inputs.mutable_data_ptr<float>();
    int64_t* label = drawn.labels.mutable_data_ptr<int64_t>();
    for (const int64_t length : lengths) {
      int64_t sum = 0;
      for (int64_t step = 0; step < length; ++step, digit += in(), label += answers()) {
        const int64_t digits = uniform(1, kDigits, random);
        int64_t number = 0;
        for (int64_t place = 0; place < digits; ++place) {
          const int64_t value = uniform(0, 9, random);
          digit[place * 10 + value] = 1.0F;  // the last digit first
          number += value * kPowers[static_cast<size_t>(place)];
        }
        sum += number;
        drawn.hardness.push_back(digits);
        if (step > 0) write(sum, label);
      }
    }
    return drawn;
  }

 private:
  static constexpr std::array<int64_t, 6> kPowers{1, 10, 100, 1000, 10000, 100000};

  static void write(int64_t sum, int64_t* label) {
    for (size_t place = 0; place <= kDigits; ++place) {
      const bool blank = place > 0 && sum < kPowers[place];
      label[place] = blank ? kBlank : sum / kPowers[place] % 10;
    }
  }
};

class Solver {
 public:
  Solver(const Task& task, const Options& options)
      : options_(options),
        task_(task),
        parameters_(
            no_weights(), [](const std::string&) { return true; }, options.seed),
        lstm_({task.in(), options.hidden, 1, options.steps}, parameters_, policy()),
        answer_(add_linear("answer", options.hidden, task.answers() * task.classes(), 0.1,
                           parameters_)),
        optimizer_({{parameters_.all(), options.rate, 0.0}}, 1.0),
        generator_(at::make_generator<at::CPUGeneratorImpl>(options.seed)) {}

  void learn(const Examples& examples) {
    Pass pass = pass_for(examples, Form::kRelaxed);
    pass.noise = 1.0;
    pass.generator = generator_;
    Tensor loss = at::cross_entropy_loss(answer(examples, pass), examples.labels.flatten(), {},
                                         at::Reduction::Mean, -1);
    for (const Ponder& ponder : pass.ledger.ponders()) {
      loss = loss + options_.ponder * ponder.cost.mean();
    }
    optimizer_.zero_grad();
    loss.backward();
    optimizer_.step(1.0);
  }

  /// Share of sequences with a wrong answer, and the steps of every row.
  std::pair<double, Tensor> measure(const Examples& examples) const {
    const at::NoGradGuard no_grad;
    Pass pass = pass_for(examples, Form::kExecuted);
    const Tensor given = answer(examples, pass).argmax(1).view_as(examples.labels);
    const Tensor wrong = given.ne(examples.labels).logical_and(examples.labels.ge(0)).sum(1);
    const double share =
        examples.sequences.sum(wrong.to(at::kDouble)).gt(0.0).to(at::kDouble).mean().item<double>();
    if (pass.ledger.ponders().empty()) return {share, at::full_like(wrong, options_.steps)};
    return {share, pass.ledger.ponders().front().units};
  }

 private:
  DepthBuilder policy() const {
    if (options_.method == "fixed") return run_all;
    return halting_builder({halting_method(options_.method, "--method")});
  }

  static Pass pass_for(const Examples& examples, Form form) {
    Pass pass;
    pass.form = form;
    pass.sequences = examples.sequences;
    pass.ledger.open(pass.sequences);
    return pass;
  }

  /// [rows * answers, classes].
  Tensor answer(const Examples& examples, Pass& pass) const {
    const Tensor states = lstm_.forward(examples.inputs, pass);
    return at::linear(states, answer_.weight, answer_.bias).view({-1, task_.classes()});
  }

  const Options& options_;
  const Task& task_;
  Parameters parameters_;
  Lstm lstm_;
  LinearParameters answer_;
  AdamW optimizer_;
  at::Generator generator_;
};

void print(int64_t iteration, double seconds, double error, const Tensor& steps,
           const std::vector<int64_t>& hardness) {
  const int64_t hardest = *std::max_element(hardness.begin(), hardness.end());
  std::vector<double> sums(5, 0.0), counts(5, 0.0);
  for (size_t i = 0; i < hardness.size(); ++i) {
    const auto fifth = static_cast<size_t>((hardness[i] - 1) * 5 / hardest);
    sums[fifth] += static_cast<double>(steps[static_cast<int64_t>(i)].item<int64_t>());
    ++counts[fifth];
  }
  std::printf("%8ld %8.0f %8.2f %% %8.2f  ", iteration, seconds, 100 * error,
              steps.to(at::kDouble).mean().item<double>());
  for (size_t i = 0; i < 5; ++i) std::printf(" %5.2f", sums[i] / std::max(1.0, counts[i]));
  std::printf("\n");
  std::fflush(stdout);
}

void run(const Options& options) {
  std::unique_ptr<Task> task = std::make_unique<Addition>();
  if (options.task == "parity") task = std::make_unique<Parity>(options.bits);
  Solver solver(*task, options);
  std::mt19937_64 random(options.seed), test_random(options.seed + 1);
  constexpr int64_t kTests = 2000;
  const Examples tests = task->draw(kTests, test_random);
  std::printf("%8s %8s %10s %8s   steps of the easiest to the hardest fifth\n", "batches",
              "seconds", "error", "steps");
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t iteration = 1; iteration <= options.iterations; ++iteration) {
    solver.learn(task->draw(options.batch, random));
    if (iteration % options.report != 0) continue;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    const auto [error, steps] = solver.measure(tests);
    print(iteration, elapsed.count(), error, steps, tests.hardness);
  }
}

}  // namespace
}  // namespace pace

int main(int argc, char** argv) {
  pace::Options options;
  CLI::App app("The parity and addition tasks of arXiv 1603.08983");
  app.add_option("--task", options.task)->check(CLI::IsMember({"parity", "addition"}));
  app.add_option("--method", options.method, "fixed: every step")
      ->check(CLI::IsMember({"act", "pact", "fixed"}));
  app.add_option("--bits", options.bits, "parity: length of the vector")
      ->check(CLI::Range(1, 1024));
  app.add_option("--hidden", options.hidden)->check(CLI::Range(1, 4096));
  app.add_option("--steps", options.steps, "most for a time step")->check(CLI::Range(1, 100));
  app.add_option("--batch", options.batch)->check(CLI::Range(1, 100000));
  app.add_option("--iterations", options.iterations);
  app.add_option("--report", options.report, "iterations between two lines")
      ->check(CLI::PositiveNumber);
  app.add_option("--ponder", options.ponder, "weight of the ponder cost")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--rate", options.rate)->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed);
  CLI11_PARSE(app, argc, argv);
  try {
    at::set_num_threads(1);
    pace::run(options);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
