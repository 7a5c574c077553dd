#include "pace/models/factory.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "pace/base/error.h"
#include "pace/models/bert.h"
#include "pace/models/decoder.h"
#include "pace/models/folder_source.h"
#include "pace/models/kwt.h"
#include "pace/models/labels.h"
#include "pace/models/lstm.h"
#include "pace/models/resnet.h"
#include "pace/models/vit.h"
#include "pace/models/wav2vec2.h"

namespace pace {

namespace {

/// What a model type is called in a config, and how its tensors are.
struct Family {
  const char *type, *prefix;  ///< the prefix stands in front of the backbone's tensors
  const char *classifier, *backbone;
  std::string_view last;  ///< layer, whose rows are the classes, or the tokens of the vocabulary
  Modality modality;
  bool language_model;  ///< or a speech recogniser: the last layer tells tokens apart
  decltype(&make_vit) make;
};
constexpr auto kPicture = Modality::kPicture, kText = Modality::kText, kSound = Modality::kSound;
constexpr std::array kFamilies{
    Family{"vit", "vit.", "ViTForImageClassification", "ViTModel", "classifier.", kPicture, false,
           make_vit},
    Family{"dinov2", "dinov2.", "Dinov2ForImageClassification", "Dinov2Model", "classifier.",
           kPicture, false, make_vit},
    Family{"bert", "bert.", "BertForSequenceClassification", "BertModel", "classifier.", kText,
           false, make_bert},
    Family{"roberta", "roberta.", "RobertaForSequenceClassification", "RobertaModel",
           "classifier.out_proj.", kText, false, make_bert},
    Family{"kwt", "", "KWTForAudioClassification", "KWTModel", "classifier.", kSound, false,
           make_kwt},
    Family{"lstm", "", "LSTMForSequenceClassification", "LSTMModel", "classifier.", kText, false,
           make_lstm},
    Family{"lstm-lm", "", "LSTMForCausalLM", "LSTMModel", "decoder.", kText, true, make_lstm},
    Family{"gpt2", "transformer.", "GPT2LMHeadModel", "GPT2Model", "lm_head.", kText, true,
           make_decoder},
    Family{"llama", "model.", "LlamaForCausalLM", "LlamaModel", "lm_head.", kText, true,
           make_decoder},
    Family{"resnet-cifar", "", "ResNetCifarForImageClassification", "ResNetCifarModel", "linear.",
           kPicture, false, make_resnet},
    Family{"resnet-torchvision", "", "ResNet", "ResNetModel", "fc.", kPicture, false, make_resnet},
    Family{"wav2vec2", "wav2vec2.", "Wav2Vec2ForCTC", "Wav2Vec2Model", "lm_head.", kSound, true,
           make_wav2vec2},
};

/// The family of a config. Throws Error listing what is supported.
const Family& family_of(const json& config, const std::string& where) {
  if (!config.is_object()) fail("{}: the config must be a JSON object", where);
  std::vector<std::string> types, architectures;
  for (const Family& family : kFamilies) {
    types.emplace_back(family.type);
    architectures.insert(architectures.end(), {family.classifier, family.backbone});
  }
  const std::string type = string_field(config, "model_type", where);
  const auto found = std::ranges::find(kFamilies, type, &Family::type);
  if (found == kFamilies.end()) {
    fail("{}: model_type is '{}'; supported are {}", where, type, fmt::join(types, ", "));
  }
  const auto named = config.find("architectures");
  if (named == config.end() || named->is_null() || *named == json::array()) return *found;
  // What pretraining needs besides the backbone is known, and unused.
  const bool pretrained = type == "wav2vec2" && *named == json::array({"Wav2Vec2ForPreTraining"});
  if (!pretrained && *named != json::array({found->classifier}) &&
      *named != json::array({found->backbone})) {
    fail("{}: architectures is {}, with model_type '{}'; supported are {}", where, named->dump(),
         type, fmt::join(architectures, ", "));
  }
  return *found;
}

constexpr const char* kModelConfig = "the model's config";  ///< in errors

/// Whether a tensor belongs to exits, or to halting stages and steps.
bool is_exit(const std::string& name) { return name.starts_with("exit."); }
bool is_halting(const std::string& name) {
  return name.starts_with("halting.") || name == "rnn.repeat";
}
bool is_mod(const std::string& name) { return name.starts_with("mod."); }
/// Of experts, which begin as the dense MLPs.
bool is_router(const std::string& name) {
  return name.starts_with("experts.") && name.ends_with(".router.weight");
}

/// What makes a model adaptive.
struct Methods {
  std::optional<AcmConfig> acm = {};
  std::optional<ExitConfig> exits = {};
  std::optional<HaltingConfig> halting = {};
  std::optional<ModConfig> mod = {};
  std::optional<ExpertsConfig> experts = {};

  MapBuilder maps(std::vector<Acm*>& modules) const {
    if (experts) return experts_builder(*experts);
    return acm ? acm_builder(*acm, &modules) : MapBuilder(dense_map);
  }
  DepthBuilder depth() const {
    if (exits) return exits_builder(*exits);
    if (mod) return mod_builder(*mod);
    return halting ? halting_builder(*halting) : DepthBuilder(run_all);
  }
};

void check_experts(const ExpertsConfig& experts, const json& config, const std::string& where) {
  const Family& family = family_of(config, where);
  if (family.make != make_decoder) {
    fail("{}: a model of type {}; experts take the place of MLPs of gpt2 and llama", where,
         family.type);
  }
  experts.check(DecoderConfig::from_json(config, where).layers);
}

LoadedModel assemble(json config, const std::string& where, std::unique_ptr<Parameters> parameters,
                     Methods methods) {
  for (const char* field : {"dtype", "torch_dtype"}) {
    // Whatever the weights were stored in, parameters are float32 from here on.
    if (config.contains(field)) config[field] = "float32";
  }
  if (methods.experts) check_experts(*methods.experts, config, where);
  LoadedModel loaded;
  loaded.model = build_model(config, where, std::move(parameters), methods.maps(loaded.modules),
                             methods.depth());
  loaded.acm = std::move(methods.acm);
  loaded.exits = methods.exits;
  loaded.halting = methods.halting;
  loaded.mod = std::move(methods.mod);
  loaded.experts = std::move(methods.experts);
  return loaded;
}

/// Whether the last layer has weights of its own: a decoder's may be the embeddings.
bool has_last_layer(const Family& family, const json& config, const std::string& where) {
  return family.make != make_decoder || !DecoderConfig::from_json(config, where).tied;
}

/// What config["pace"] holds.
struct PaceSection {
  Methods methods;
  Calibration calibration;
};

PaceSection parse_pace(const json& section, const std::string& where) {
  if (!section.is_object()) fail("{} must be an object, but is {}", where, section.type_name());
  const int64_t version = integer_field(section, "format_version", where);
  if (version > kFormatVersion) {
    fail("{}: format_version is {}; this pace reads up to {}: use a newer pace", where, version,
         kFormatVersion);
  }
  if (version < 1) fail("{}: format_version is {}; versions begin at 1", where, version);
  PaceSection parsed;
  if (const auto field = section.find("acm"); field != section.end()) {
    parsed.methods.acm = AcmConfig::from_json(*field, where + ".acm");
  }
  if (const auto field = section.find("exits"); field != section.end()) {
    parsed.methods.exits = ExitConfig::from_json(*field, where + ".exits");
  }
  if (const auto field = section.find("halting"); field != section.end()) {
    parsed.methods.halting = HaltingConfig::from_json(*field, where + ".halting");
  }
  if (const auto field = section.find("mod"); field != section.end()) {
    parsed.methods.mod = ModConfig::from_json(*field, where + ".mod");
  }
  if (const auto field = section.find("experts"); field != section.end()) {
    parsed.methods.experts = ExpertsConfig::from_json(*field, where + ".experts");
  }
  const auto& [acm, exits, halting, mod, experts] = parsed.methods;
  if (!acm && !exits && !halting && !mod && !experts) {
    fail(
        "{}: none of the fields 'acm', 'experts', 'exits', 'halting' and 'mod' is there, so "
        "nothing is adaptive",
        where);
  }
  if (acm && experts) {
    fail("{}: both 'acm' and 'experts' are there, but only one of them makes the MLPs", where);
  }
  if (exits.has_value() + halting.has_value() + mod.has_value() > 1) {
    fail(
        "{}: more than one of 'exits', 'halting' and 'mod' is there, but only one method runs the "
        "blocks",
        where);
  }
  if (const auto curve = section.find("calibration"); curve != section.end()) {
    parsed.calibration = Calibration::from_json(*curve, where + ".calibration");
  }
  return parsed;
}

/// The config of the dense model that `options` ask for.
json dense_config(json config, const Family& family, const std::string& where,
                  const BuildOptions& options) {
  if (config.contains("pace")) {
    fail("{}: the model is adaptive already; a dense one is needed here", where);
  }
  if (family.language_model && !options.labels.empty()) {
    fail("{}: a model of type {} tells no classes apart; it learns from {}", where, family.type,
         family.modality == kSound ? "speech:PATH" : "text:FILE");
  }
  if ((family.make == make_lstm || family.make == make_decoder) && options.layers != 0) {
    fail("{}: only an encoder can be cut to its first {} layers", where, options.layers);
  }
  config["architectures"] = json::array({family.classifier});
  if (!options.labels.empty()) set_class_labels(config, options.labels);
  if (options.layers == 0) return config;
  const int64_t layers = integer_field(config, "num_hidden_layers", where);
  if (options.layers < 0 || options.layers > layers) {
    fail("{} layers were asked for; the model of {} has {}", options.layers, where, layers);
  }
  if (options.layers == layers) return config;
  config["num_hidden_layers"] = options.layers;
  // They name layers of the whole model; transformers derives them anew.
  for (const char* field : {"stage_names", "out_features", "out_indices"}) config.erase(field);
  return config;
}

/// How a model is read from a folder.
struct Reading {
  /// Classes of the new model when they are not the folder's: a classifier for another number of
  /// them is left behind and begins anew. 0 when everything must come from the folder.
  int64_t new_classes = 0;
  bool may_begin_classifier = false;
  uint64_t seed = 0;
  Expected expected;
};

LoadedModel read_weights(const json& config, const std::string& where, const WeightFiles& weights,
                         const Reading& reading, Methods methods) {
  const std::string name = "the weights of " + where;
  const Family& family = family_of(config, where);
  const auto folder = std::make_shared<FolderSource>(weights, family.prefix);
  const int64_t classes = reading.new_classes;
  const auto find = [folder, classes, &family](const std::string& wanted) -> std::optional<Tensor> {
    std::optional<Tensor> tensor = folder->find(wanted);
    const bool replaced = tensor && classes > 0 && wanted.starts_with(family.last) &&
                          tensor->dim() > 0 && tensor->size(0) != classes;
    return replaced ? std::nullopt : tensor;
  };
  const bool begin = reading.may_begin_classifier;
  const auto may_begin = [begin](const std::string& wanted) { return begin && is_head(wanted); };
  auto parameters = std::make_unique<Parameters>(find, may_begin, reading.seed, name);
  LoadedModel loaded = assemble(config, where, std::move(parameters), std::move(methods));
  folder->check_leftovers(name, reading.expected);
  folder->close();
  return loaded;
}

/// Where an exit's layers begin: as those of the model's own head.
using HeadNames = std::map<std::string, std::string>;

HeadNames head_names(const WeightSource& known) {
  if (known("bert.pooler.dense.weight")) {
    return {{"dense", "bert.pooler.dense"}, {"classifier", "classifier"}};
  }
  if (known("classifier.out_proj.weight")) {
    return {{"dense", "classifier.dense"}, {"classifier", "classifier.out_proj"}};
  }
  return {};
}

/// A model made from another one, for the same inputs.
LoadedModel remake(const LoadedModel& model, json config, std::unique_ptr<Parameters> parameters,
                   Methods methods) {
  LoadedModel made =
      assemble(std::move(config), kModelConfig, std::move(parameters), std::move(methods));
  made.preprocessor = model.preprocessor;
  made.tokenizer = model.tokenizer;
  return made;
}

}  // namespace

bool is_head(std::string_view name) {
  return name.starts_with("classifier.") || name.starts_with("decoder.") ||
         name.starts_with("lm_head.") || name.starts_with("bert.pooler.") ||
         name.starts_with("linear.") || name.starts_with("fc.");
}

Pass LoadedModel::pass_at(double budget) const {
  if (!(budget > 0.0 && budget <= 1.0)) {
    fail("a budget of {}; it is the share of the dense model's compute, in (0, 1]", budget);
  }
  if (!adaptive() && budget < 1.0) {
    fail(
        "a budget of {} for a dense model, which always runs whole; only an adaptive model takes "
        "less than 1",
        budget);
  }
  Pass pass;
  pass.budget = budget;
  pass.context.type = type;
  if (!calibration.empty()) pass.price = calibration.price(budget);
  return pass;
}

LoadedModel load_model(const ModelFolder& folder) {
  const std::string where = (folder.path / "config.json").string();
  const Family& family = family_of(folder.config, where);
  if (has_last_layer(family, folder.config, where) &&
      !folder.weights.contains(std::string(family.last) + "weight")) {
    fail(
        "{}: the weights hold a backbone without a classifier, so there is nothing to predict; "
        "train one on it first",
        folder.path.string());
  }
  json config = folder.config;
  std::optional<PaceSection> pace;
  if (const auto section = config.find("pace"); section != config.end()) {
    pace = parse_pace(*section, where + ": pace");
    config.erase(section);
  }
  Reading reading;
  reading.expected = pace ? Expected([](std::string_view) { return false; }) : Expected(is_unused);
  LoadedModel loaded =
      read_weights(config, where, folder.weights, reading, pace ? pace->methods : Methods());
  if (pace) loaded.calibration = std::move(pace->calibration);
  loaded.preprocessor = folder.preprocessor;
  loaded.tokenizer = folder.tokenizer;
  return loaded;
}

LoadedModel load_model(const fs::path& folder) { return load_model(ModelFolder::open(folder)); }

LoadedModel build_dense(const json& config, const std::string& where, const WeightFiles* weights,
                        const BuildOptions& options) {
  const Family& family = family_of(config, where);
  const json wanted = dense_config(config, family, where, options);
  if (!weights) {
    const auto anything = [](const std::string&) { return true; };
    return assemble(wanted, where,
                    std::make_unique<Parameters>(no_weights(), anything, options.seed, where), {});
  }
  Reading reading;
  reading.new_classes = static_cast<int64_t>(options.labels.size());
  reading.may_begin_classifier = true;
  reading.seed = options.seed;
  reading.expected = [layers = options.layers](std::string_view bare) {
    return is_unused(bare) || (layers > 0 && is_cut_layer(bare, layers));
  };
  return read_weights(wanted, where, *weights, reading, {});
}

LoadedModel build_adaptive(const json& dense_config, const AcmConfig& acm, WeightSource source) {
  const std::string where = "the dense model's config";
  family_of(dense_config, where);
  return assemble(dense_config, where, std::make_unique<Parameters>(std::move(source)),
                  {.acm = acm});
}

LoadedModel build_exits(const LoadedModel& model, const ExitConfig& exits, uint64_t seed) {
  const WeightSource known = weights_of(*model.model);
  const HeadNames head = head_names(known);
  const WeightSource source = [known, head](const std::string& name) {
    if (std::optional<Tensor> tensor = known(name); tensor || !is_exit(name)) return tensor;
    const size_t layer = name.find('.', std::string_view("exit.").size()) + 1;  // after the block
    const size_t part = name.find('.', layer);
    const auto begin = head.find(name.substr(layer, part - layer));
    return begin == head.end() ? std::nullopt : known(begin->second + name.substr(part));
  };
  return remake(model, model.model->config(), std::make_unique<Parameters>(source, is_exit, seed),
                {.acm = model.acm, .exits = exits});
}

LoadedModel build_halting(const LoadedModel& model, const HaltingConfig& halting, uint64_t seed,
                          int64_t steps) {
  json config = model.model->config();
  if (steps > 0 && family_of(config, kModelConfig).make != make_lstm) {
    fail("{} steps were asked for, which only an LSTM repeats", steps);
  }
  if (steps > 0) config["ponder_steps"] = steps;
  return remake(model, config,
                std::make_unique<Parameters>(weights_of(*model.model), is_halting, seed),
                {.halting = halting});
}

LoadedModel build_mod(const LoadedModel& model, ModConfig mod, uint64_t seed) {
  const json& config = model.model->config();
  if (family_of(config, kModelConfig).make != make_decoder) {
    fail("a model of type {}; tokens are routed round the blocks of gpt2 and llama",
         config.value("model_type", ""));
  }
  if (mod.blocks.empty()) {
    mod.blocks = ModConfig::every_other(DecoderConfig::from_json(config, kModelConfig).layers);
  }
  return remake(model, config, std::make_unique<Parameters>(weights_of(*model.model), is_mod, seed),
                {.mod = std::move(mod), .experts = model.experts});
}

LoadedModel build_experts(const LoadedModel& model, ExpertsConfig experts, uint64_t seed) {
  if (model.experts) fail("the model has experts already; others can only be put into a dense MLP");
  const json& config = model.model->config();
  if (experts.blocks.empty() && family_of(config, kModelConfig).make == make_decoder) {
    experts.blocks.resize(
        static_cast<size_t>(DecoderConfig::from_json(config, kModelConfig).layers));
    std::iota(experts.blocks.begin(), experts.blocks.end(), 0);
  }
  const WeightSource known = weights_of(*model.model);
  const std::map<std::string, std::string> origins = dense_origins(experts, model.model->maps());
  const WeightSource source = [known, origins](const std::string& name) {
    const auto origin = origins.find(name);
    return known(origin == origins.end() ? name : origin->second);
  };
  return remake(model, config, std::make_unique<Parameters>(source, is_router, seed),
                {.mod = model.mod, .experts = std::move(experts)});
}

std::unique_ptr<Model> build_model(const json& config, const std::string& where,
                                   std::unique_ptr<Parameters> parameters,
                                   const MapBuilder& build_map, const DepthBuilder& build_depth) {
  return family_of(config, where)
      .make(config, where, std::move(parameters), build_map, build_depth);
}

Modality LoadedModel::modality() const { return family_of(model->config(), kModelConfig).modality; }

TextLimits text_limits(const json& config) {
  if (family_of(config, kModelConfig).make == make_lstm) {
    const LstmConfig lstm = LstmConfig::from_json(config, kModelConfig);
    return {lstm.most_tokens, lstm.vocabulary};
  }
  if (family_of(config, kModelConfig).make == make_decoder) {
    const DecoderConfig decoder = DecoderConfig::from_json(config, kModelConfig);
    return {decoder.positions, decoder.vocabulary};
  }
  const BertConfig bert = BertConfig::from_json(config, kModelConfig);
  return {bert.positions, bert.vocabulary};
}

WeightSource weights_of(const Model& model) {
  return [&model](const std::string& name) -> std::optional<Tensor> {
    for (const auto& [known, tensor] : model.parameters().all()) {
      if (known == name) return tensor.detach();
    }
    return std::nullopt;
  };
}

json full_config(const LoadedModel& loaded) {
  json config = loaded.model->config();
  if (!loaded.adaptive()) return config;
  json section{{"format_version", kFormatVersion}};
  if (loaded.acm) section["acm"] = loaded.acm->to_json();
  if (loaded.experts) section["experts"] = loaded.experts->to_json();
  if (loaded.exits) section["exits"] = loaded.exits->to_json();
  if (loaded.halting) section["halting"] = loaded.halting->to_json();
  if (loaded.mod) section["mod"] = loaded.mod->to_json();
  if (!loaded.calibration.empty()) section["calibration"] = loaded.calibration.to_json();
  config["pace"] = std::move(section);
  return config;
}

void save_model(const fs::path& folder, const LoadedModel& loaded) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be made a folder: {}", folder.string(), error.message());
  write_model_folder(folder, full_config(loaded), loaded.preprocessor,
                     loaded.model->parameters().all(), loaded.tokenizer);
}

}  // namespace pace
