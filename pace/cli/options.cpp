#include "pace/cli/options.h"

#include <ATen/Parallel.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <regex>
#include <set>

#include "pace/base/error.h"

namespace pace::cli {
namespace {

/// The number that is the whole of `text`.
std::optional<double> number(const std::string& text) {
  double value = 0.0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

template <class Accepts>
CLI::Validator number_that(const std::string& description, const Accepts& accepts) {
  const auto check = [=](const std::string& text) -> std::string {
    const std::optional<double> value = number(text);
    if (value && accepts(*value)) return {};
    return fmt::format("{} is not a number {}", text, description);
  };
  return CLI::Validator(check, description, "");
}

bool describes_run(const CLI::Option& option) {
  static const std::set<std::string> others{"help", "version", "config"};
  return !option.get_lnames().empty() && !others.contains(option.get_lnames().front());
}

json value_json(const std::string& text) {
  const std::optional<double> value = number(text);
  if (!value) return text;
  const auto whole = static_cast<int64_t>(*value);
  return static_cast<double>(whole) == *value ? json(whole) : json(*value);
}

}  // namespace

CLI::Validator at_least(double low) {
  return number_that(fmt::format(">= {}", low), [=](double value) { return value >= low; });
}

CLI::Validator above(double low) {
  return number_that(fmt::format("> {}", low), [=](double value) { return value > low; });
}

CLI::Validator from_to(double low, double high) {
  return number_that(fmt::format("in [{}, {})", low, high),
                     [=](double value) { return value >= low && value < high; });
}

CLI::Validator above_to(double low, double high) {
  return number_that(fmt::format("in ({}, {}]", low, high),
                     [=](double value) { return value > low && value <= high; });
}

at::ScalarType parse_dtype(const std::string& name) {
  if (name == "f32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  throw CLI::ValidationError("--dtype", fmt::format("'{}' is neither f32 nor bf16", name));
}

void add_dtype(CLI::App& app, at::ScalarType& type) {
  app.add_option_function<std::string>(
         "--dtype", [&type](const std::string& name) { type = parse_dtype(name); },
         "of the products' factors, f32 or bf16; sums are float32")
      ->default_str("f32");
}

double parse_share(const std::string& text, const std::string& option) {
  const bool percent = text.ends_with('%');
  std::optional<double> value = number(percent ? text.substr(0, text.size() - 1) : text);
  if (value && percent) *value /= 100;
  if (value && *value >= 0 && *value < 1) return *value;
  throw CLI::ValidationError(
      option, fmt::format("{} is not a share in [0, 1); give one such as 1% or 0.01", text));
}

std::vector<int64_t> parse_range(const std::string& text, const std::string& option) {
  // first, or first-last, or first-last*factor, or first-last+step
  static const std::regex kPattern(R"((\d{1,9})(?:-(\d{1,9})(?:([*+])(\d{1,9}))?)?)");
  std::smatch parts;
  const auto whole = [&](size_t i, int64_t absent) {
    return parts[i].matched ? std::stoll(parts[i].str()) : absent;
  };
  const bool matched = std::regex_match(text, parts, kPattern);
  const int64_t first = matched ? whole(1, 0) : 0, last = matched ? whole(2, first) : 0;
  const bool factor = matched && parts[3].matched && parts[3].str() == "*";
  const int64_t by = matched ? whole(4, 1) : 0;
  if (first < 1 || last < first || by < (factor ? 2 : 1)) {
    throw CLI::ValidationError(
        option, fmt::format("{} is neither a whole number from 1 up nor a range such as 1-4, "
                            "1-9+2 or 1-8*2",
                            text));
  }
  std::vector<int64_t> values;
  for (int64_t value = first; value <= last; value = factor ? value * by : value + by) {
    values.push_back(value);
  }
  return values;
}

std::string dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

json options_json(const CLI::App& app) {
  json options = json::object();
  for (const CLI::Option* option : app.get_options()) {
    if (!describes_run(*option)) continue;
    json& value = options[option->get_lnames().front()];
    if (option->get_expected_max() == 0) {
      value = option->count() > 0 && option->as<bool>();
    } else if (option->count() == 0) {
      const std::string& text = option->get_default_str();
      value = text.empty() ? json() : value_json(text);
    } else {
      value = value_json(fmt::format("{}", fmt::join(option->results(), ",")));
    }
  }
  return options;
}

void ThreadOptions::declare(CLI::App& app) {
  threads = at::get_num_threads();
  app.add_option("--threads", threads, "threads that compute")->check(at_least(1));
}

void ThreadOptions::apply() const { at::set_num_threads(threads); }

void DataOptions::declare(CLI::App& app, const std::string& purpose) {
  app.add_option(
         "--data", data,
         purpose +
             ": images:FOLDER (a folder per class of JPEG or PNG files), idx:PREFIX "
             "(the MNIST family's files), audio:FOLDER (a folder per class of WAV or FLAC files), "
             "speech:PATH (sounds with what is said in them), tsv:FILE or csv:FILE (texts "
             "with labels), text:FILE or jsonl:FILE (texts for language models)")
      ->required();
  app.add_option("--limit", limit,
                 "use only this many, drawn at random with the classes in proportion (0: all)")
      ->check(at_least(0));
  app.add_option("--batch", batch, "examples per batch")->check(at_least(1));
  app.add_option("--sequence", sequence, "language models: tokens of an example")
      ->check(at_least(0))
      ->default_str(fmt::format("{}, or the model's context if that is less", kSequence));
  app.add_option("--loader-threads", loader_threads, "threads that read and prepare pictures")
      ->check(at_least(1));
  app.add_flag("--skip-broken", skip_broken,
               "go on without pictures and sounds that cannot be read");
}

LoaderOptions DataOptions::loader(uint64_t seed) const {
  LoaderOptions options;
  options.batch = batch;
  options.threads = loader_threads;
  options.skip_broken = skip_broken;
  options.seed = seed;
  return options;
}

void RunOptions::declare(CLI::App& app) {
  app.add_option("--out", out, "model folder to write; FOLDER.partial until the run is finished")
      ->required();
  app.add_flag("--resume", resume, "go on with the unfinished run that lies in OUT.partial");
  app.add_flag("--force", force, "replace an output that exists");
  app.add_option("--seed", seed, "of everything random");
  app.add_option("--checkpoint-seconds", checkpoint_seconds, "time between checkpoints")
      ->check(above(0));
  app.add_option("--clip", clip, "clip the gradient to this norm (0: never)")->check(at_least(0));
  app.add_option("--accumulate", accumulate, "batches whose gradients make one step")
      ->check(at_least(1));
  app.add_flag("--bf16", bf16, "compute the training passes in bfloat16 where that is safe");
  declare_augmentation(app);
}

void RunOptions::declare_augmentation(CLI::App& app) {
  app.add_option("--smoothing", augment.smoothing, "label smoothing")->check(from_to(0, 1));
  app.add_option("--shift", augment.shift,
                 "sounds: shift in time by up to so many seconds either way (0: off)")
      ->check(from_to(0, 60));
  app.add_option("--speed", augment.speed,
                 "sounds: play them faster or slower by up to this share (0: off)")
      ->check(from_to(0, 0.5));
  app.add_option("--mixup", augment.mixup, "alpha of mixup (0: off)")->check(at_least(0));
  app.add_option("--cutmix", augment.cutmix, "alpha of cutmix (0: off)")->check(at_least(0));
  app.add_option("--crop-padding", augment.crop_padding,
                 "random crop after padding each side by this many pixels (0: off)")
      ->check(at_least(0));
  app.add_option("--scale-min", augment.scale_min,
                 "random resized crop: least share of the area (1: off)")
      ->check(above_to(0, 1));
  app.add_flag("--flip", augment.flip, "flip half of the pictures left to right");
}

}  // namespace pace::cli
