#pragma once

#include "pace/adaptive/acm.h"
#include "pace/adaptive/calibration.h"
#include "pace/adaptive/exits.h"
#include "pace/adaptive/experts.h"
#include "pace/adaptive/halting.h"
#include "pace/adaptive/mod.h"
#include "pace/io/model_folder.h"
#include "pace/models/model.h"

namespace pace {

/// What a model is given.
enum class Modality { kPicture, kText, kSound };

/// A model as it lies in a folder: dense, or with its adaptive parts under config["pace"].
struct LoadedModel {
  std::unique_ptr<Model> model;
  std::optional<AcmConfig> acm;          ///< of the width seam; absent where the maps are dense
  std::optional<ExpertsConfig> experts;  ///< likewise, of decoders
  std::optional<ExitConfig> exits;       ///< of the depth seam; absent where every block runs
  std::optional<HaltingConfig> halting;  ///< likewise, of backbones with feature maps
  std::optional<ModConfig> mod;          ///< likewise, of decoders
  std::vector<Acm*> modules;             ///< in order of execution; owned by the model
  Calibration calibration;               ///< empty before calibration and in a dense model
  std::optional<json> preprocessor;
  std::map<std::string, std::string> tokenizer;  ///< its files, which a saved model takes along
  at::ScalarType type = at::kFloat;              ///< of the products of a pass

  Modality modality() const;
  bool reads_text() const { return modality() == Modality::kText; }
  /// Whether tokens are foretold, and no classes told apart.
  bool language_model() const { return reads_text() && model->labels().empty(); }
  /// Whether what is said in a sound is written down.
  bool transcribes() const { return modality() == Modality::kSound && model->labels().empty(); }
  bool adaptive() const { return acm || experts || exits || halting || mod; }
  /// A pass ready for inference at `budget`: told budget and price from the calibration. Throws
  /// Error when a dense model is asked for less than 1, or the budget is not in (0, 1].
  Pass pass_at(double budget) const;
};

/// Version of config["pace"]; folders with a newer one are refused.
inline constexpr int kFormatVersion = 1;

/// Opens a folder whatever is in it. Throws Error naming what is missing or contradictory.
LoadedModel load_model(const ModelFolder& folder);
LoadedModel load_model(const fs::path& folder);

/// A dense model from a config and weights that may be incomplete: a backbone without classifier,
/// or nothing at all (`weights` null) for training from scratch. `labels` replaces the classes (a
/// classifier for another number of them begins anew); `layers` (0 = all) keeps the first ones
/// only. The config of the result says so. Throws Error when `config` is adaptive already, and as
/// load_model does.
struct BuildOptions {
  std::vector<std::string> labels = {};
  int64_t layers = 0;
  uint64_t seed = 0;
};
LoadedModel build_dense(const json& config, const std::string& where, const WeightFiles* weights,
                        const BuildOptions& options);

/// The dense model's weights with its covered maps replaced by modules whose tensors `source` has.
LoadedModel build_adaptive(const json& dense_config, const AcmConfig& acm, WeightSource source);

/// A model, dense or with adaptive maps, with exits after its blocks. They begin as the exits
/// it has, of whatever rule, or as its own head where that is of their form, otherwise at random.
LoadedModel build_exits(const LoadedModel& model, const ExitConfig& exits, uint64_t seed);

/// A dense residual network whose stages halt, or an LSTM whose time steps do, or one that halts
/// already. `steps` is how often an LSTM computes a time step at most (0: as its config says).
/// Throws Error for other models, and for steps of a residual network.
LoadedModel build_halting(const LoadedModel& model, const HaltingConfig& halting, uint64_t seed,
                          int64_t steps = 0);

/// A decoder with routers before some blocks: a dense one, whose tensors it takes, or one that has
/// them already. Without numbers of blocks every other one is routed. Throws Error for other
/// models.
LoadedModel build_mod(const LoadedModel& model, ModConfig mod, uint64_t seed);

/// A decoder, dense or with routers before some blocks, with experts in the place of MLPs; each
/// begins as a copy of the MLP. Without numbers of blocks every one has them. Throws Error for
/// other models.
LoadedModel build_experts(const LoadedModel& model, ExpertsConfig experts, uint64_t seed);

/// A model of the config's family over `parameters`, its maps made by `build_map` and its depth
/// policy by `build_depth`.
std::unique_ptr<Model> build_model(const json& config, const std::string& where,
                                   std::unique_ptr<Parameters> parameters,
                                   const MapBuilder& build_map,
                                   const DepthBuilder& build_depth = run_all);

/// Whether a tensor belongs to what turns a backbone's states into logits, which a folder of the
/// backbone alone need not have.
bool is_head(std::string_view name);

/// Most tokens of a text that a model of such a config takes, and how many tokens it knows.
struct TextLimits {
  int64_t tokens = 0, vocabulary = 0;
};
TextLimits text_limits(const json& config);

/// A source that has what another model's parameters hold (it must not outlive that model).
WeightSource weights_of(const Model& model);

/// config.json of a model, with "pace" if it is adaptive.
json full_config(const LoadedModel& loaded);

/// Writes the folder: config.json, preprocessor_config.json, the tokeniser's files,
/// model.safetensors.
void save_model(const fs::path& folder, const LoadedModel& loaded);

}  // namespace pace
