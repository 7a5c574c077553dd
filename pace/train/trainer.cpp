#include "pace/train/trainer.h"

#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "pace/base/error.h"
#include "pace/base/random.h"
#include "pace/train/autocast.h"
#include "pace/train/checkpoint.h"
#include "pace/train/metrics.h"

namespace pace {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Lets only the trained parameters require gradients as long as it lives: what is frozen costs no
/// backward.
class Trained {
 public:
  Trained(const NamedTensors& all, const std::vector<ParameterGroup>& groups) {
    for (const auto& [name, parameter] : all) set(parameter, false);
    for (const ParameterGroup& group : groups) {
      for (const auto& [name, parameter] : group.parameters) set(parameter, true);
    }
  }
  ~Trained() {
    for (auto before = before_.rbegin(); before != before_.rend(); ++before) {
      before->first.set_requires_grad(before->second);
    }
  }
  Trained(const Trained&) = delete;
  Trained& operator=(const Trained&) = delete;

 private:
  void set(const Tensor& parameter, bool requires_grad) {
    before_.emplace_back(parameter, parameter.requires_grad());
    parameter.set_requires_grad(requires_grad);
  }

  std::vector<std::pair<Tensor, bool>> before_;
};

at::Generator generator_for(const at::Device& device, uint64_t seed) {
  if (device.is_cpu()) return at::make_generator<at::CPUGeneratorImpl>(seed);
  at::Generator generator = at::globalContext()
                                .getAcceleratorHooksInterface(device.type())
                                .getNewGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
}

/// The loss and two more figures at most, for a progress bar.
std::string note_of(const StepFigures& figures) {
  std::string note;
  if (const auto loss = figures.find("loss"); loss != figures.end()) {
    note = fmt::format("loss {:.4f}", loss->second);
  }
  int more = 2;
  for (const auto& [name, value] : figures) {
    if (name == "loss" || name == "images_per_second" || more-- <= 0) continue;
    note += fmt::format("{}{} {:.4g}", note.empty() ? "" : ", ", name, value);
  }
  return note;
}

int64_t total_steps(const PhaseOptions& options, int64_t batches) {
  if (!std::isfinite(options.epochs) || options.epochs < 0) {
    fail("phase '{}' is to run {} epochs; 0 or more are possible", options.name, options.epochs);
  }
  if (batches < 1) fail("phase '{}' has no batches to train on", options.name);
  const int64_t total = std::llround(options.epochs * static_cast<double>(batches));
  return options.epochs > 0 ? std::max<int64_t>(total, 1) : 0;
}

/// One phase as it runs.
class Phase {
 public:
  Phase(const fs::path& checkpoint, const PhaseOptions& options, size_t index, Loader& loader,
        const NamedTensors& parameters, std::vector<ParameterGroup> groups, MetricsFile metrics,
        double& done)
      : path_(checkpoint),
        options_(options),
        index_(index),
        loader_(loader),
        parameters_(parameters),
        trained_(parameters, groups),
        optimizer_(std::move(groups), options.clip_norm),
        metrics_(std::move(metrics)),
        done_(done),
        device_(parameters.at(0).second.device()) {
    if (options.accumulate < 1) {
      fail("phase '{}' is to make a step of {} batches; 1 or more are possible", options.name,
           options.accumulate);
    }
    progress_.phase = options.name;
    progress_.batches = steps_of(loader.batches(), options.accumulate);
    progress_.total = total_steps(options, progress_.batches);
    progress_.seed = options.seed;
    report_every_ = std::max<int64_t>(20, progress_.batches / 50);
  }

  void restore(const Checkpoint& checkpoint);
  /// Returns whether it came to its end before `stop_after` (counted down; below 0 is never) was 0.
  bool run(const Objective& objective, const EpochHook& hook, Reporter& reporter,
           int64_t& stop_after);

 private:
  double rate_scale() const {
    return cosine_schedule(progress_.step, progress_.total, options_.warmup_steps, options_.floor);
  }
  /// The batches of the next step, starting an epoch where one begins; none when the epoch ends
  /// before its time.
  std::vector<Batch> next_batches();
  /// Trains on them: everything between the loader and the count of steps.
  StepFigures step(const std::vector<Batch>& batches, const Objective& objective, double scale);
  /// Leaves their mean gradient; returns their mean figures.
  StepFigures mean_gradient(const std::vector<Batch>& batches, const Objective& objective);
  void check_finite(const StepFigures& figures) const;
  /// Writes what is due after a step: means, and the hook's figures at the end of an epoch.
  void report(double scale, const EpochHook& hook);
  void write_line(const StepFigures& figures, double scale);
  void save() {
    save_checkpoint(path_, progress_, parameters_, optimizer_);
    saved_ = Clock::now();
  }

  fs::path path_;
  const PhaseOptions& options_;
  size_t index_;
  Loader& loader_;
  const NamedTensors& parameters_;
  Trained trained_;
  AdamW optimizer_;
  MetricsFile metrics_;
  double& done_;  ///< share of the steps
  at::Device device_;
  TrainProgress progress_;
  int64_t report_every_ = 1;
  bool loading_ = false;  ///< whether the loader stands at the next step's batch
  Clock::time_point saved_ = Clock::now();
};

void Phase::restore(const Checkpoint& checkpoint) {
  const TrainProgress& stored = checkpoint.progress();
  if (stored.total != progress_.total || stored.batches != progress_.batches ||
      stored.seed != progress_.seed) {
    fail(
        "{} is of a run with {} steps in phase '{}', {} batches per epoch and seed {}, but this "
        "one has "
        "{}, {} and {}; resume with the options and data it was begun with",
        path_.string(), stored.total, stored.phase, stored.batches, stored.seed, progress_.total,
        progress_.batches, progress_.seed);
  }
  checkpoint.restore(parameters_, optimizer_);
  progress_ = stored;
}

bool Phase::run(const Objective& objective, const EpochHook& hook, Reporter& reporter,
                int64_t& stop_after) {
  reporter.start(options_.name, progress_.total, progress_.step);
  while (progress_.step < progress_.total) {
    if (stop_after == 0) {
      save();
      return false;
    }
    const auto start = Clock::now();
    const double scale = rate_scale();
    if (const std::vector<Batch> batches = next_batches(); !batches.empty()) {
      const StepFigures figures = step(batches, objective, scale);
      const double seconds = seconds_since(start);
      int64_t examples = 0;
      for (const Batch& batch : batches) examples += batch.labels.size(0);
      progress_.interval.add(figures, examples, seconds);
      progress_.seconds += seconds;
      progress_.step += 1;
    } else {
      // Batches all of whose pictures are broken are passed over: the epoch ends early.
      progress_.step =
          std::min((progress_.step / progress_.batches + 1) * progress_.batches, progress_.total);
    }
    progress_.broken = std::max(progress_.broken, loader_.broken());
    if (stop_after > 0) --stop_after;
    reporter.advance(progress_.step, note_of(progress_.interval.means()));
    report(scale, hook);
    if (seconds_since(saved_) >= options_.checkpoint_seconds) save();
  }
  save();
  reporter.finish();
  return true;
}

std::vector<Batch> Phase::next_batches() {
  const int64_t epoch = progress_.step / progress_.batches;
  const int64_t position = progress_.step % progress_.batches * options_.accumulate;
  if (position == 0) {
    loader_.start(epoch);
  } else if (!loading_ && progress_.broken == 0) {
    loader_.start(epoch, position);
  } else if (!loading_) {
    // The loader may have passed over batches, so that only it knows where the next step's is.
    loader_.start(epoch);
    for (int64_t i = 0; i < position; ++i) loader_.next();
  }
  loading_ = true;
  std::vector<Batch> batches;
  while (std::ssize(batches) < options_.accumulate) {
    std::optional<Batch> batch = loader_.next();
    if (!batch) break;
    batches.push_back(std::move(*batch));
  }
  return batches;
}

StepFigures Phase::mean_gradient(const std::vector<Batch>& batches, const Objective& objective) {
  auto number = static_cast<uint64_t>(progress_.step * options_.accumulate);
  StepFigures means;
  std::map<std::string, double> counts;  // not every batch has every figure
  for (const Batch& batch : batches) {
    at::Generator generator =
        generator_for(device_, random_for({options_.seed, uint64_t{index_}, number++})());
    std::optional<Autocast> autocast;
    if (options_.bf16) autocast.emplace(true, device_.type());
    StepFigures figures = objective(batch, generator);
    if (const auto macs = figures.extract(kMacs)) progress_.macs += macs.mapped();
    for (const auto& [name, value] : figures) {
      means[name] += value;
      counts[name] += 1.0;
    }
  }
  for (auto& [name, value] : means) value /= counts[name];
  if (batches.size() > 1) optimizer_.scale_gradients(1.0 / static_cast<double>(batches.size()));
  return means;
}

StepFigures Phase::step(const std::vector<Batch>& batches, const Objective& objective,
                        double scale) {
  done_ = static_cast<double>(progress_.step) / static_cast<double>(progress_.total);
  optimizer_.zero_grad();
  const StepFigures figures = mean_gradient(batches, objective);
  check_finite(figures);
  try {
    optimizer_.step(scale);
  } catch (const Error& error) {
    fail("phase '{}', step {} of {}: {}; try a lower learning rate, more warm-up steps{}",
         options_.name, progress_.step + 1, progress_.total, error.what(),
         options_.bf16 ? ", or training without bf16" : "");
  }
  return figures;
}

void Phase::check_finite(const StepFigures& figures) const {
  for (const auto& [name, value] : figures) {
    if (std::isfinite(value)) continue;
    fail("phase '{}', step {} of {}: {} is {}; try a lower learning rate, more warm-up steps{}",
         options_.name, progress_.step + 1, progress_.total, name, value,
         options_.bf16 ? ", or training without bf16" : "");
  }
}

void Phase::report(double scale, const EpochHook& hook) {
  const bool epoch_over =
      progress_.step % progress_.batches == 0 || progress_.step == progress_.total;
  if (progress_.step % report_every_ == 0 || epoch_over) {
    if (!progress_.interval.empty()) write_line(progress_.interval.means(), scale);
    progress_.interval = {};
  }
  if (epoch_over && hook) {
    const at::NoGradGuard no_grad;
    write_line(hook((progress_.step + progress_.batches - 1) / progress_.batches), scale);
  }
}

void Phase::write_line(const StepFigures& figures, double scale) {
  json line(figures);
  line["phase"] = progress_.phase;
  line["step"] = progress_.step;
  line["epoch"] = static_cast<double>(progress_.step) / static_cast<double>(progress_.batches);
  line["learning_rate"] = optimizer_.groups().at(0).learning_rate * scale;
  line["seconds"] = progress_.seconds;
  if (progress_.macs > 0.0) line[kMacs] = progress_.macs;
  metrics_.write(line);
}

}  // namespace

Trainer::Trainer(const fs::path& run_folder, std::vector<std::string> phases,
                 NamedTensors parameters, Reporter& reporter)
    : folder_(run_folder),
      phases_(std::move(phases)),
      parameters_(std::move(parameters)),
      reporter_(reporter) {}

size_t Trainer::index_of(const std::string& phase) const {
  const auto found = std::find(phases_.begin(), phases_.end(), phase);
  if (found == phases_.end()) {
    fail("'{}' is no phase of the run in {}, whose phases are: {}", phase, folder_.string(),
         fmt::join(phases_, ", "));
  }
  return static_cast<size_t>(found - phases_.begin());
}

void Trainer::run(const PhaseOptions& options, Loader& loader, std::vector<ParameterGroup> groups,
                  const Objective& objective, const EpochHook& hook) {
  if (stopped_) return;
  if (groups.empty()) fail("phase '{}' has no parameters to train", options.name);
  const size_t index = index_of(options.name);
  const fs::path path = folder_ / kCheckpoint;
  const auto checkpoint = Checkpoint::open(path);
  const size_t reached = checkpoint ? index_of(checkpoint->progress().phase) : 0;
  if (checkpoint && reached > index) return;

  // What was reported after the checkpoint will happen again.
  MetricsFile metrics(folder_ / kMetrics, [&](const json& line) {
    if (!checkpoint || !line.contains("phase") || !line.contains("step")) return false;
    const size_t phase = index_of(line["phase"].get<std::string>());
    return phase < reached ||
           (phase == reached && line["step"].get<int64_t>() <= checkpoint->progress().step);
  });
  Phase phase(path, options, index, loader, parameters_, std::move(groups), std::move(metrics),
              progress_);
  if (checkpoint && reached == index) phase.restore(*checkpoint);
  stopped_ = !phase.run(objective, hook, reporter_, stop_after_);
}

}  // namespace pace
