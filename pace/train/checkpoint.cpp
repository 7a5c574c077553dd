#include "pace/train/checkpoint.h"

#include <ATen/core/grad_mode.h>

#include <fmt/ranges.h>

#include "pace/base/error.h"

namespace pace {
namespace {

constexpr int kFormat = 2;
constexpr const char* kMetadata = "pace.checkpoint";
constexpr const char* kPrefix = "parameter.";

json to_json(const TrainProgress& progress) {
  return {{"format", kFormat},           {"phase", progress.phase},
          {"step", progress.step},       {"total", progress.total},
          {"batches", progress.batches}, {"broken", progress.broken},
          {"seed", progress.seed},       {"seconds", progress.seconds},
          {"macs", progress.macs},       {"interval", progress.interval.to_json()}};
}

TrainProgress from_json(const json& object) {
  TrainProgress progress;
  object.at("phase").get_to(progress.phase);
  object.at("step").get_to(progress.step);
  object.at("total").get_to(progress.total);
  object.at("batches").get_to(progress.batches);
  object.at("broken").get_to(progress.broken);
  object.at("seed").get_to(progress.seed);
  object.at("seconds").get_to(progress.seconds);
  object.at("macs").get_to(progress.macs);
  progress.interval = Interval::from_json(object.at("interval"));
  return progress;
}

}  // namespace

void save_checkpoint(const fs::path& path, const TrainProgress& progress,
                     const NamedTensors& parameters, const AdamW& optimizer) {
  NamedTensors tensors = optimizer.state();
  for (const auto& [name, parameter] : parameters) {
    tensors.emplace_back(kPrefix + name, parameter.detach());
  }
  write_safetensors(path, tensors, {{kMetadata, to_json(progress).dump()}});
}

std::optional<Checkpoint> Checkpoint::open(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  return Checkpoint(path);
}

Checkpoint::Checkpoint(const fs::path& path) : path_(path), file_(path) {
  const auto& metadata = file_.header().metadata;
  const auto found = metadata.find(kMetadata);
  if (found == metadata.end()) {
    fail("{} is no checkpoint of a training run: its metadata has no '{}'", path.string(),
         kMetadata);
  }
  try {
    const json object = json::parse(found->second);
    const int format = object.at("format").get<int>();
    if (format != kFormat) {
      fail("{} is a checkpoint of format {}, but this version reads format {}", path.string(),
           format, kFormat);
    }
    progress_ = from_json(object);
  } catch (const json::exception& error) {
    fail("the metadata '{}' of {} is broken: {}", kMetadata, path.string(), error.what());
  }
}

void Checkpoint::restore(const NamedTensors& parameters, AdamW& optimizer) const {
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters) {
    const Tensor stored = file_.tensor(kPrefix + name);
    if (stored.sizes() != parameter.sizes()) {
      fail("parameter '{}' has shape {} in {}, but the model has {}", name,
           fmt::join(stored.sizes(), "x"), path_.string(), fmt::join(parameter.sizes(), "x"));
    }
    Tensor(parameter).copy_(stored);
  }
  optimizer.load_state([this](const std::string& name) { return file_.tensor(name); });
}

}  // namespace pace
