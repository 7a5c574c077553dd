#include "pace/cli/bench.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>

#include "pace/base/error.h"
#include "pace/cli/budgets.h"
#include "pace/cli/setup.h"
#include "pace/cli/table.h"

namespace pace::cli {
namespace {

constexpr int kWarmUps = 2;
const std::vector<double> kBudgets{1.0, 0.75, 0.5, 0.25};

/// The value below which `share` of the values lie, between neighbours linearly.
double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - std::floor(place)) * (values[above] - values[below]);
}

/// One model at one budget, run again and again on the same input.
struct Track {
  const LoadedModel* model;
  std::string name;
  double budget = 1.0;
  double macs = 0.0;  ///< per item
  std::vector<double> seconds = {};

  void run(const at::Tensor& input) {
    Pass pass = model->pass_at(budget);
    const auto begin = std::chrono::steady_clock::now();
    model->model->forward(input, pass);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    seconds.push_back(elapsed.count());
    macs = pass.ledger.macs().mean().item<double>();
  }
};

/// Tokens of the texts of a batch: from `least` to `most`, spread evenly.
struct Lengths {
  int64_t least = 0, most = 0;  ///< 0: the input is no text

  std::string text() const {
    return least == most ? std::to_string(most) : fmt::format("{}..{}", least, most);
  }
  int64_t of(int64_t example, int64_t batch) const {
    return batch == 1 ? most : least + (most - least) * example / (batch - 1);
  }
};

/// "128" or "5..128". Throws CLI::ValidationError naming the option.
Lengths parse_lengths(const std::string& text) {
  const size_t dots = text.find("..");
  const std::string first = text.substr(0, dots);
  const std::string last = dots == std::string::npos ? first : text.substr(dots + 2);
  const std::vector<int64_t> least = parse_range(first, "--tokens"),
                             most = parse_range(last, "--tokens");
  if (least.size() != 1 || most.size() != 1 || least[0] > most[0]) {
    throw CLI::ValidationError("--tokens", "'" + text + "' is neither N nor LEAST..MOST");
  }
  return {least[0], most[0]};
}

/// Texts of random tokens.
at::Tensor random_tokens(const Lengths& lengths, int64_t batch, int64_t vocabulary) {
  at::Tensor ids = at::randint(vocabulary, {batch, lengths.most}, at::kLong);
  for (int64_t i = 0; i < batch; ++i) ids[i].slice(0, lengths.of(i, batch)).fill_(-1);
  return at::stack({ids, ids.clamp_max(0)}, -1);
}

/// What the model is run on.
at::Tensor random_input(const LoadedModel& model, const std::string& folder, int64_t batch,
                        const Lengths& lengths) {
  const json& config = model.model->config();
  if (lengths.most > 0) {
    return random_tokens(lengths, batch, integer_field(config, "vocab_size", "config.json"));
  }
  std::vector<int64_t> shape = input_shape(model, folder);
  shape[0] = batch;
  return at::randn(shape);
}

/// What was measured of one track at one type, batch size, length of text and thread count.
struct Row {
  std::string dtype;
  int64_t threads, batch;
  Lengths lengths;
  std::string name;
  double budget, macs, macs_fraction, time_fraction;
  double median, low, high;  ///< seconds per item: median, p10, p90

  /// 1 MAC = 2 FLOPs.
  double gflops() const { return 2 * macs / median / 1e9; }
};

Row summarize(const Track& track, const Track& dense, const std::string& dtype, int64_t threads,
              int64_t batch, const Lengths& lengths) {
  std::vector<double> ratios, per_item;
  for (size_t i = 0; i < track.seconds.size(); ++i) {
    ratios.push_back(track.seconds[i] / dense.seconds[i]);
    per_item.push_back(track.seconds[i] / static_cast<double>(batch));
  }
  return {dtype,
          threads,
          batch,
          lengths,
          track.name,
          track.budget,
          track.macs,
          track.macs / dense.macs,
          quantile(ratios, 0.5),
          quantile(per_item, 0.5),
          quantile(per_item, 0.1),
          quantile(per_item, 0.9)};
}

/// Runs all tracks in turn, beginning with another one each time, and forgets the warm-up.
void run_in_turn(std::vector<Track>& tracks, const at::Tensor& input, int64_t repeats,
                 Reporter& reporter) {
  for (Track& track : tracks) {
    for (int i = 0; i < kWarmUps; ++i) track.run(input);
    track.seconds.clear();
  }
  for (int64_t turn = 0; turn < repeats; ++turn) {
    for (size_t i = 0; i < tracks.size(); ++i) {
      tracks[(static_cast<size_t>(turn) + i) % tracks.size()].run(input);
    }
    reporter.advance(turn + 1);
  }
}

class Bench : public Command {
 public:
  void declare(CLI::App& app) override;
  int run(Terminal& terminal) override;

 private:
  std::vector<Track> tracks(const LoadedModel& model, const LoadedModel& dense) const;
  /// Every thread count, batch size and length of text.
  void measure(const LoadedModel& model, const LoadedModel& dense, const std::string& dtype,
               Terminal& terminal, std::vector<Row>& rows) const;
  /// Of the texts of each measurement; one that says nothing for pictures.
  std::vector<Lengths> lengths_for(const LoadedModel& model) const;
  void print(const std::vector<Row>& rows) const;

  BudgetOptions budget_;
  std::string model_, format_ = "table";
  std::vector<std::string> dtypes_{"f32"};
  std::vector<Lengths> lengths_;
  std::vector<int64_t> batches_{1, 8}, threads_{at::get_num_threads()};
  int64_t repeats_ = 20;
};

/// A list of numbers and ranges.
void add_ranges(CLI::App& app, const std::string& name, std::vector<int64_t>& values,
                const std::string& description) {
  const auto set = [&values, name](const std::vector<std::string>& texts) {
    values.clear();
    for (const std::string& text : texts) {
      const std::vector<int64_t> range = parse_range(text, name);
      values.insert(values.end(), range.begin(), range.end());
    }
  };
  app.add_option_function<std::vector<std::string>>(name, set, description)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("LIST")
      ->default_str(fmt::format("{}", fmt::join(values, ",")));
}

void Bench::declare(CLI::App& app) {
  app.add_option("--model", model_, "model folder")->required();
  add_ranges(app, "--batch", batches_, "pictures or texts at a time: 1,8 or 1-8 or 1-8*2");
  const auto set_lengths = [this](const std::vector<std::string>& texts) {
    lengths_.clear();
    for (const std::string& text : texts) lengths_.push_back(parse_lengths(text));
  };
  app.add_option_function<std::vector<std::string>>(
         "--tokens", set_lengths, "of a text: 64,128 or 5..128 for texts of 5 to 128 spread evenly")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("LIST")
      ->default_str("128");
  add_ranges(app, "--threads", threads_, "threads that compute, in the same notation");
  budget_.declare(app, true);
  add_list(app, "--dtype", dtypes_, "of the products' factors: f32, bf16 or f32,bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--repeats", repeats_, "measured runs of each setting, after the warm-up")
      ->check(at_least(1));
  app.add_option("--format", format_, "of the output")
      ->check(CLI::IsMember({"table", "csv", "json"}));
  app.add_flag_callback(
      "--json", [this] { format_ = "json"; }, "the same as --format json");
}

std::vector<Track> Bench::tracks(const LoadedModel& model, const LoadedModel& dense) const {
  std::vector<Track> tracks{{&dense, "dense", 1.0}};
  if (!model.adaptive()) return tracks;
  for (const double budget : budget_.given() ? budget_.budgets(model) : kBudgets) {
    tracks.push_back({&model, "adaptive", budget});
  }
  return tracks;
}

void Bench::measure(const LoadedModel& model, const LoadedModel& dense, const std::string& dtype,
                    Terminal& terminal, std::vector<Row>& rows) const {
  const auto run = [&](int64_t threads, int64_t batch, const Lengths& lengths) {
    std::vector<Track> running = tracks(model, dense);
    terminal.start(fmt::format("{}, batch {}, {} threads", dtype, batch, threads), repeats_);
    run_in_turn(running, random_input(model, model_, batch, lengths), repeats_, terminal);
    terminal.finish();
    for (const Track& track : running) {
      rows.push_back(summarize(track, running.front(), dtype, threads, batch, lengths));
    }
  };
  const std::vector<Lengths> all_lengths = lengths_for(model);
  for (const int64_t threads : threads_) {
    at::set_num_threads(static_cast<int>(threads));
    for (const int64_t batch : batches_) {
      for (const Lengths& lengths : all_lengths) run(threads, batch, lengths);
    }
  }
}

std::vector<Lengths> Bench::lengths_for(const LoadedModel& model) const {
  if (!model.reads_text()) {
    if (!lengths_.empty()) throw UsageError("--tokens is for models that read text");
    return {Lengths{}};
  }
  const int64_t usual = std::min<int64_t>(128, text_limits(model.model->config()).tokens);
  return lengths_.empty() ? std::vector<Lengths>{{usual, usual}} : lengths_;
}

int Bench::run(Terminal& terminal) {
  const at::NoGradGuard no_grad;
  LoadedModel model = load_model(fs::path(model_));
  // Speed does not depend on the values of the weights: a dense model of the same shape will do.
  std::optional<LoadedModel> stand_in;
  if (model.adaptive()) stand_in = build_dense(model.model->config(), model_, nullptr, {});
  LoadedModel& dense = stand_in ? *stand_in : model;

  std::vector<Row> rows;
  for (const std::string& dtype : dtypes_) {
    model.type = dense.type = parse_dtype(dtype);
    measure(model, dense, dtype, terminal, rows);
  }
  print(rows);
  return 0;
}

void print_json(const std::string& model, const std::vector<Row>& rows) {
  json list = json::array();
  for (const Row& row : rows) {
    list.push_back({{"name", row.name},
                    {"dtype", row.dtype},
                    {"threads", row.threads},
                    {"batch", row.batch},
                    {"tokens", row.lengths.most ? json(row.lengths.text()) : json()},
                    {"budget", row.budget},
                    {"macs", row.macs},
                    {"macs_fraction", row.macs_fraction},
                    {"time_fraction", row.time_fraction},
                    {"seconds_per_item", row.median},
                    {"seconds_per_item_p10", row.low},
                    {"seconds_per_item_p90", row.high},
                    {"gflops_per_second", row.gflops()}});
  }
  std::cout << dump({{"model", model}, {"rows", list}}, 2) << "\n";
}

void print_csv(const std::vector<Row>& rows) {
  std::cout
      << "name,dtype,threads,batch,tokens,budget,macs,macs_fraction,time_fraction,seconds_per_item,"
         "seconds_per_item_p10,seconds_per_item_p90,gflops_per_second\n";
  for (const Row& row : rows) {
    std::cout << fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{}\n", row.name, row.dtype,
                             row.threads, row.batch, row.lengths.most ? row.lengths.text() : "",
                             row.budget, row.macs, row.macs_fraction, row.time_fraction, row.median,
                             row.low, row.high, row.gflops());
  }
}

void print_table(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> cells;
  for (const Row& row : rows) {
    cells.push_back({fmt::format("{} {:g}", row.name, row.budget), row.dtype,
                     std::to_string(row.threads), std::to_string(row.batch),
                     row.lengths.most ? row.lengths.text() : "-", percent(row.macs_fraction),
                     percent(row.time_fraction), duration(row.median), duration(row.low),
                     duration(row.high), fmt::format("{:.1f}", row.gflops())});
  }
  std::cout << format_table({"", "dtype", "threads", "batch", "tokens", "operations", "time",
                             "per item", "p10", "p90", "GF/s"},
                            cells)
            << "operations and time as shares of the dense model's; GF/s at 2 FLOPs per "
               "multiply-accumulate\n";
}

void Bench::print(const std::vector<Row>& rows) const {
  if (format_ == "json") {
    print_json(model_, rows);
  } else if (format_ == "csv") {
    print_csv(rows);
  } else {
    print_table(rows);
  }
}

}  // namespace

std::unique_ptr<Command> make_bench() { return std::make_unique<Bench>(); }

}  // namespace pace::cli
