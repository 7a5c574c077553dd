#include "pace/cli/info.h"

#include <iostream>

#include "pace/base/error.h"
#include "pace/cli/setup.h"
#include "pace/cli/table.h"

namespace pace::cli {
namespace {

/// Name and size of each file of the folder.
json file_sizes(const fs::path& folder) {
  json files = json::array();
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files.push_back({{"name", entry.path().filename().string()}, {"bytes", entry.file_size()}});
  }
  std::sort(files.begin(), files.end(),
            [](const json& a, const json& b) { return a["name"] < b["name"]; });
  return files;
}

json describe_modules(const LoadedModel& loaded) {
  json modules = json::array();
  for (const Acm* module : loaded.modules) {
    const AcmShape& shape = module->shape();
    modules.push_back({{"site", module->site()},
                       {"in", shape.in},
                       {"out", shape.out},
                       {"learners", shape.learners},
                       {"width", shape.width},
                       {"minimum", shape.gate.minimum}});
  }
  return modules;
}

/// The size pictures and sounds have when they reach the model: by the preprocessor, else by the
/// config.
std::vector<int64_t> shape_of(const LoadedModel& loaded, const std::string& folder) {
  if (loaded.preprocessor) return input_shape(loaded, folder);
  const json& config = loaded.model->config();
  const auto field = [&](const char* name) { return integer_field(config, name, "config.json"); };
  if (config.contains("num_frames")) return {1, field("num_frames"), field("num_mfcc")};
  if (loaded.modality() == Modality::kSound) return {1, kHeardSeconds * 16000};
  return {1, channels_of(config), field("image_size"), field("image_size")};
}

/// Of a text whose cost is given: the usual length, or the most the model takes.
int64_t tokens_of(const LoadedModel& loaded) {
  return std::min<int64_t>(128, text_limits(loaded.model->config()).tokens);
}

/// What the model is given, by its size.
at::Tensor example_of(const LoadedModel& loaded, const std::string& folder) {
  if (!loaded.reads_text()) return at::empty(shape_of(loaded, folder));
  return at::zeros({1, tokens_of(loaded), 2}, at::kLong);
}

json describe_input(const LoadedModel& loaded, const std::string& folder) {
  if (loaded.reads_text()) return {{"tokens", tokens_of(loaded)}};
  const std::vector<int64_t> shape = shape_of(loaded, folder);
  if (shape.size() == 2) return {{"samples", shape[1]}};
  if (shape.size() == 3) return {{"frames", shape[1]}, {"features", shape[2]}};
  return {{"channels", shape[1]}, {"height", shape[2]}, {"width", shape[3]}};
}

/// The input in words.
std::string shown_input(const json& input) {
  const auto field = [&](const char* name) { return input[name].get<int64_t>(); };
  if (input.contains("tokens")) return fmt::format("a text of {} tokens", field("tokens"));
  if (input.contains("samples")) return fmt::format("a sound of {} samples", field("samples"));
  if (input.contains("frames")) {
    return fmt::format("a sound of {} frames, {} features", field("frames"), field("features"));
  }
  return fmt::format("{} x {} pixels, {} channels", field("height"), field("width"),
                     field("channels"));
}

json describe(const std::string& folder) {
  const LoadedModel loaded = load_model(fs::path(folder));
  const json& config = loaded.model->config();
  json info = {{"model", folder},
               {"architecture", config.value("architectures", json::array({""})).at(0)},
               {"adaptive", loaded.adaptive()},
               {"parameters", loaded.model->parameters().count()},
               {"input", describe_input(loaded, folder)},
               {"dense_macs", loaded.model->dense_macs(example_of(loaded, folder)).item<double>()},
               {"labels", loaded.model->labels()},
               {"vocabulary", config.value("vocab_size", json())},
               {"files", file_sizes(folder)}};
  if (loaded.acm) {
    info["acm"] = loaded.acm->to_json();
    info["modules"] = describe_modules(loaded);
  }
  if (loaded.exits) info["exits"] = loaded.exits->to_json();
  if (loaded.halting) info["halting"] = loaded.halting->to_json();
  if (loaded.mod) info["mod"] = loaded.mod->to_json();
  if (loaded.experts) info["experts"] = loaded.experts->to_json();
  if (loaded.adaptive()) {
    info["calibration"] = loaded.calibration.empty() ? json() : loaded.calibration.to_json();
  }
  return info;
}

void print(const json& info) {
  const auto line = [](std::string_view name, const std::string& value) {
    std::cout << fmt::format("{:<14}{}\n", name, value);
  };
  line("model", info["model"].get<std::string>());
  line("architecture", info["architecture"].get<std::string>() +
                           (info["adaptive"].get<bool>() ? ", adaptive" : ", dense"));
  line("parameters", with_prefix(info["parameters"].get<double>()));
  line("input", shown_input(info["input"]));
  line("dense cost",
       with_prefix(info["dense_macs"].get<double>()) + "MACs for it (1 MAC = 2 FLOPs)");
  if (info["labels"].empty()) {
    line("tokens", std::to_string(info["vocabulary"].get<int64_t>()) + " in the vocabulary");
  } else {
    line("classes", std::to_string(info["labels"].size()));
  }
  if (info.contains("exits")) line("exits", dump(info["exits"]));
  if (info.contains("halting")) line("halting", dump(info["halting"]));
  if (info.contains("mod")) line("routing", dump(info["mod"]));
  if (info.contains("experts")) line("experts", dump(info["experts"]));
  if (info.contains("acm")) {
    line("adaptive", fmt::format("{} modules: {}", info["modules"].size(), dump(info["acm"])));
  }
  for (const json& file : info["files"]) {
    line("file", fmt::format("{}, {}B", file["name"].get<std::string>(),
                             with_prefix(file["bytes"].get<double>())));
  }
  if (info.contains("calibration") && !info["calibration"].is_null()) {
    const auto calibration = Calibration::from_json(info["calibration"], "config.json");
    std::cout << fmt::format("\ncalibrated on held-out data; the dense model: {}\n",
                             percent(calibration.dense_metric))
              << curve_table(calibration);
  }
}

class Info : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("folder,--model", folder_, "model folder")->required();
    app.add_flag("--json", json_, "print as JSON");
  }

  int run(Terminal&) override {
    const json info = describe(folder_);
    if (json_) {
      std::cout << dump(info, 2) << "\n";
    } else {
      print(info);
    }
    return 0;
  }

 private:
  std::string folder_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_info() { return std::make_unique<Info>(); }

}  // namespace pace::cli
