#include "pace/eval/model_card.h"

#include <fmt/format.h>

#include <sstream>

namespace pace {
namespace {

/// A YAML scalar; a JSON string is one whatever is in it.
std::string quoted(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

/// What models of a kind are called and given.
struct Words {
  const char *task, *kind, *input;
};
Words words_for(const LoadedModel& model) {
  const char* text = "'A text.'";
  if (model.language_model()) return {"text-generation", "language model", text};
  if (model.transcribes()) {
    return {"automatic-speech-recognition", "speech recogniser", "speech.wav"};
  }
  switch (model.modality()) {
    case Modality::kText:
      return {"text-classification", "text classifier", text};
    case Modality::kSound:
      return {"audio-classification", "sound classifier", "sound.wav"};
    case Modality::kPicture:
      break;
  }
  return {"image-classification", "image classifier", "picture.jpg"};
}

std::string front_matter(const ModelCard& card, const LoadedModel& model) {
  std::string out = "---\nlibrary_name: pace\n";
  if (!card.license.empty()) out += fmt::format("license: {}\n", quoted(card.license));
  if (!card.base_model.empty()) out += fmt::format("base_model: {}\n", quoted(card.base_model));
  out += fmt::format("pipeline_tag: {}\n", words_for(model).task);
  if (model.adaptive()) out += "tags:\n- adaptive-computation\n";
  if (!card.datasets.empty()) {
    out += "datasets:\n";
    for (const std::string& dataset : card.datasets) out += fmt::format("- {}\n", quoted(dataset));
  }
  return out + "metrics:\n- accuracy\n---\n";
}

std::string kinds(const AcmConfig& acm) {
  std::string out;
  for (const MapKind kind : acm.kinds)
    out += (out.empty() ? "" : ", ") + std::string(to_string(kind));
  return out;
}

/// What the adaptive parts decide.
std::string method(const LoadedModel& model) {
  std::string said;
  const auto say = [&said](const std::string& more) { said += (said.empty() ? "" : "; ") + more; };
  if (model.acm) {
    say(fmt::format(
        "for every token a gate decides how many of the {} learners run in each adaptive part "
        "(kinds: {}; [arXiv 2312.10193](https://arxiv.org/abs/2312.10193))",
        model.acm->learners, kinds(*model.acm)));
  }
  if (model.exits) {
    say(fmt::format(
        "an answer after every block, and a rule ({}) that ends the computation of an example",
        to_string(model.exits->rule)));
  }
  if (model.halting) {
    say(fmt::format("{}, by method {}",
                    model.reads_text() ? "every token decides how often its time step is computed"
                    : model.halting->by_position()
                        ? "every position of a picture decides how many residual units of each "
                          "stage run"
                        : "a picture decides how many residual units of each stage run",
                    to_string(model.halting->method)));
  }
  if (model.mod) {
    say(fmt::format(
        "tokens are routed round {} of the blocks, which {:.4g} % of them ran in training "
        "([arXiv 2404.02258](https://arxiv.org/abs/2404.02258))",
        model.mod->blocks.size(), 100 * model.mod->capacity));
  }
  if (model.experts) {
    const double no_op = model.experts->no_op;
    say(fmt::format(
        "every token runs one of {} experts in the place of the MLP of {} of the blocks{}",
        model.experts->experts, model.experts->blocks.size(),
        no_op > 0.0 ? fmt::format(", or none, as {:.4g} % of them were to in training", 100 * no_op)
                    : ""));
  }
  return said;
}

std::string description(const ModelCard& card, const LoadedModel& model) {
  const std::string& base = card.base_model;
  const std::string made = base.empty() ? "" : fmt::format(" made from `{}`", base);
  const size_t classes = model.model->labels().size();
  const std::string shape =
      fmt::format("{:.1f} M parameters{}", model.model->parameters().count() / 1e6,
                  classes > 0 ? fmt::format(", {} classes", classes) : "");
  const char* kind = words_for(model).kind;
  if (!model.adaptive()) return fmt::format("A dense {}{} ({}).\n", kind, made, shape);
  return fmt::format(
      "An adaptive {}{} ({}): {}. One set of weights serves every budget, the wanted mean share of "
      "the dense model's multiply-accumulates.\n",
      kind, made, shape, method(model));
}

std::string usage(const LoadedModel& model) {
  const char* budget = model.adaptive() ? " --budget 0.5" : "";
  return fmt::format("\n## Use\n\n    pace predict --model .{} {}\n", budget,
                     words_for(model).input);
}

std::string results(const ModelCard& card, const Calibration& calibration) {
  if (calibration.empty()) {
    if (!card.accuracy) return {};
    return fmt::format("\n## Results\n\nAccuracy on held-out data: {:.2f} %.\n",
                       100 * *card.accuracy);
  }
  std::string out = fmt::format(
      "\n## Results\n\nOn held-out data; the dense model reaches {:.2f} %.\n\n"
      "| budget | MACs, % of dense | {}, % | points against dense |\n|---:|---:|---:|---:|\n",
      100 * calibration.dense_metric, calibration.metric);
  for (const CalibrationPoint& point : calibration.curve) {
    out += fmt::format("| {:.3g} | {:.1f} | {:.2f} | {:+.2f} |\n", point.budget,
                       100 * point.macs_fraction, 100 * point.metric,
                       100 * (point.metric - calibration.dense_metric));
  }
  return out;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kBlank = " \t\r\"'";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

std::string render_model_card(const ModelCard& card, const LoadedModel& model) {
  return fmt::format("{}\n# {}\n\n{}{}{}", front_matter(card, model), card.name,
                     description(card, model), results(card, model.calibration), usage(model));
}

std::string license_of(const fs::path& model_folder) {
  const fs::path card = model_folder / "README.md";
  if (!fs::exists(card)) return {};
  std::istringstream lines(read_text(card));
  std::string line;
  if (!std::getline(lines, line) || trimmed(line) != "---") return {};
  constexpr std::string_view kKey = "license:";
  while (std::getline(lines, line) && trimmed(line) != "---") {
    if (line.starts_with(kKey)) return trimmed(line.substr(kKey.size()));
  }
  return {};
}

}  // namespace pace
