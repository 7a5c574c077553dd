#include "pace/models/factory.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "pace/base/error.h"
#include "tests/models/small_models.h"
#include "tests/reference.h"

namespace pace {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing_models::logits_of;
using testing_models::randomise;
using testing_models::small_config;
using testing_models::small_model;

/// Saves a small model after `change` has had its way with config and tensors, and opens it.
template <class Change>
void load_changed(bool dinov2, Change change) {
  const LoadedModel model = small_model(dinov2);
  json config = full_config(model);
  NamedTensors tensors = model.model->parameters().all();
  change(config, tensors);
  const TemporaryFolder folder;
  write_model_folder(folder.path(), config, std::nullopt, tensors);
  load_model(folder.path());
}

LoadedModel small_adaptive(bool dinov2 = false) {
  const json config = small_config(dinov2);
  AcmConfig acm;
  acm.learners = 2;
  // Built from nothing first, to learn which tensors a source must have.
  LoadedModel dense = small_model(dinov2);
  std::map<std::string, Tensor> tensors;
  Parameters parameters(
      no_weights(), [](const std::string&) { return true; }, 3);
  std::vector<Acm*> modules;
  std::vector<std::unique_ptr<TokenMap>> maps;
  for (const MapSpec& spec : dense.model->maps()) {
    maps.push_back(acm_builder(acm, &modules)(spec, parameters));
  }
  for (const auto* all : {&dense.model->parameters().all(), &parameters.all()}) {
    tensors.insert(all->begin(), all->end());
  }
  LoadedModel adaptive = build_adaptive(dense.model->config(), acm, [&](const std::string& name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? std::nullopt : std::optional(found->second);
  });
  randomise(adaptive.model->parameters(), 5);
  return adaptive;
}

class Factory : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Families, Factory, ::testing::Bool());

TEST_P(Factory, SavedAndLoadedAgainIsTheSameBitForBit) {
  LoadedModel model = small_model(GetParam());
  model.preprocessor = json{{"size", {{"height", 28}, {"width", 28}}}};
  const TemporaryFolder folder;
  save_model(folder.path() / "made", model);
  const LoadedModel again = load_model(folder.path() / "made");
  EXPECT_EQ(again.model->config(), model.model->config());
  EXPECT_EQ(again.preprocessor, model.preprocessor);
  EXPECT_FALSE(again.acm);
  EXPECT_THAT(again.model->labels(), ElementsAre("cat", "dog", "eel"));
  const Tensor pixels = at::randn({2, 1, 28, 28});
  EXPECT_TRUE(logits_of(*again.model, pixels).equal(logits_of(*model.model, pixels)));
  ASSERT_EQ(again.model->parameters().all().size(), model.model->parameters().all().size());
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    EXPECT_TRUE(again.model->parameters().at(name).equal(tensor)) << name;
  }
}

TEST_P(Factory, AnAdaptiveModelSavedAndLoadedAgainIsTheSameBitForBit) {
  LoadedModel model = small_adaptive(GetParam());
  model.calibration.dense_metric = 0.9;
  model.calibration.curve = {{0.5, 1.0, 0.5, 0.8}, {1.0, 0.0, 1.0, 0.9}};
  const TemporaryFolder folder;
  save_model(folder.path(), model);
  const LoadedModel again = load_model(folder.path());
  ASSERT_TRUE(again.acm);
  EXPECT_EQ(again.acm->learners, 2);
  EXPECT_EQ(again.modules.size(), again.model->maps().size());
  EXPECT_EQ(again.calibration.curve.size(), 2u);
  EXPECT_EQ(full_config(again), full_config(model));
  const Tensor pixels = at::randn({2, 1, 28, 28});
  EXPECT_TRUE(logits_of(*again.model, pixels).equal(logits_of(*model.model, pixels)));
  EXPECT_NEAR(again.pass_at(0.75).price, 0.5, 1e-12);
  EXPECT_EQ(again.pass_at(0.5).budget, 0.5);
}

TEST_P(Factory, ABackboneGetsANewClassifier) {
  const bool dinov2 = GetParam();
  const ModelFolder folder =
      ModelFolder::open(reference("vit") / (dinov2 ? "dinov2_backbone" : "vit_backbone"));
  BuildOptions options;
  options.labels = {"ant", "bee", "cow", "dog"};
  options.seed = 9;
  const LoadedModel built = build_dense(folder.config, "config.json", &folder.weights, options);
  const Parameters& parameters = built.model->parameters();
  const std::string prefix = dinov2 ? "dinov2." : "vit.";
  EXPECT_TRUE(
      parameters.at(prefix + "layernorm.weight").equal(folder.weights.tensor("layernorm.weight")));
  EXPECT_EQ(parameters.at("classifier.weight").sizes(), (at::IntArrayRef{4, dinov2 ? 80 : 40}));
  EXPECT_EQ(parameters.at("classifier.bias").abs().sum().item<float>(), 0.0f);
  EXPECT_GT(parameters.at("classifier.weight").abs().max().item<float>(), 0.0f);
  EXPECT_LE(parameters.at("classifier.weight").abs().max().item<float>(), 0.0401f);
  EXPECT_EQ(built.model->labels(), options.labels);
  const json& config = built.model->config();
  EXPECT_EQ(config["architectures"][0],
            dinov2 ? "Dinov2ForImageClassification" : "ViTForImageClassification");
  EXPECT_EQ(config["label2id"]["cow"], 2);
  EXPECT_THAT([&] { load_model(folder); }, ThrowsMessage<Error>(HasSubstr("without a classifier")));
}

TEST_P(Factory, KeepsTheFirstLayersOnly) {
  const TemporaryFolder place;
  const LoadedModel whole = small_model(GetParam());
  save_model(place.path(), whole);
  const ModelFolder folder = ModelFolder::open(place.path());
  BuildOptions options;
  options.layers = 1;
  const LoadedModel cut = build_dense(folder.config, "config.json", &folder.weights, options);
  EXPECT_EQ(cut.model->maps().size(), 5u);
  EXPECT_EQ(cut.model->config()["num_hidden_layers"], 1);
  EXPECT_TRUE(cut.model->parameters()
                  .at("classifier.weight")
                  .equal(whole.model->parameters().at("classifier.weight")));
  options.layers = 3;
  EXPECT_THAT([&] { build_dense(folder.config, "config.json", &folder.weights, options); },
              ThrowsMessage<Error>(AllOf(HasSubstr("3 layers"), HasSubstr("has 2"))));
}

TEST(BuildDense, AClassifierForOtherClassesBeginsAnewAndOneForAsManyStays) {
  const TemporaryFolder place;
  const LoadedModel whole = small_model();
  save_model(place.path(), whole);
  const ModelFolder folder = ModelFolder::open(place.path());
  const auto classifier = [&](std::vector<std::string> labels) {
    BuildOptions options;
    options.labels = std::move(labels);
    return build_dense(folder.config, "config.json", &folder.weights, options)
        .model->parameters()
        .at("classifier.weight");
  };
  const Tensor old = whole.model->parameters().at("classifier.weight");
  EXPECT_EQ(classifier({"a", "b", "c", "d"}).size(0), 4);
  EXPECT_TRUE(classifier({"a", "b", "c"}).equal(old));
  EXPECT_THAT([&] { classifier({"a", "a"}); }, ThrowsMessage<Error>(HasSubstr("appears twice")));
}

TEST(BuildDense, FromNothingBeginsAsTransformersDoes) {
  json config = small_config(true);
  config["layerscale_value"] = 0.25;
  const LoadedModel made = build_dense(config, "recipe", nullptr, {});
  const Parameters& parameters = made.model->parameters();
  EXPECT_TRUE(parameters.at("dinov2.encoder.layer.1.norm2.weight").equal(at::ones(40)));
  EXPECT_TRUE(
      parameters.at("dinov2.encoder.layer.0.layer_scale1.lambda1").equal(at::full(40, 0.25)));
  EXPECT_EQ(parameters.at("dinov2.encoder.layer.0.mlp.fc1.bias").abs().max().item<float>(), 0.0f);
  const Tensor weight = parameters.at("dinov2.encoder.layer.0.mlp.fc1.weight").detach();
  EXPECT_NEAR(weight.std().item<double>(), 0.02 * 0.8796, 0.002);
}

TEST(LoadModel, RefusesWeightsThatAreNotNumbersNamingTheTensor) {
  EXPECT_THAT(([] {
                load_changed(true, [](json&, NamedTensors& tensors) {
                  tensors[7].second = at::full_like(tensors[7].second.detach(), NAN);
                  EXPECT_EQ(tensors[7].first,
                            "dinov2.encoder.layer.0.attention.attention.query.weight");
                });
              }),
              ThrowsMessage<Error>(AllOf(HasSubstr("NaN"), HasSubstr("layer.0.attention"))));
}

TEST(LoadModel, RefusesConfigAndWeightsThatContradictEachOther) {
  using Change = std::function<void(json&, NamedTensors&)>;
  const std::vector<std::pair<Change, std::string>> cases = {
      {[](json& c, NamedTensors&) { c["num_hidden_layers"] = 1; }, "vit.encoder.layer.1"},
      {[](json& c, NamedTensors&) { c["num_hidden_layers"] = 3; }, "vit.encoder.layer.2"},
      {[](json& c, NamedTensors&) { c["intermediate_size"] = 48; }, "intermediate.dense.weight"},
      {[](json& c, NamedTensors&) { c["qkv_bias"] = false; }, "bias"},
      {[](json& c, NamedTensors&) { c["image_size"] = 35; }, "position_embeddings"},
      {[](json& c, NamedTensors&) { c["id2label"].erase("2"); }, "classifier.weight"},
      {[](json&, NamedTensors& t) { t.pop_back(); }, "classifier.bias"},
      {[](json&, NamedTensors& t) { t.emplace_back("extra", at::ones(1)); }, "extra"},
      {[](json& c, NamedTensors&) { c["model_type"] = "opt"; }, "vit, dinov2, bert"},
      {[](json& c, NamedTensors&) { c["model_type"] = "dinov2"; }, "architectures"},
      {[](json& c, NamedTensors&) { c["architectures"] = {"ViTForMaskedImageModeling"}; },
       "ViTForImageClassification"},
  };
  for (const auto& [change, part] : cases) {
    EXPECT_THAT([&] { load_changed(false, change); }, ThrowsMessage<Error>(HasSubstr(part)))
        << part;
  }
  load_changed(false, [](json&, NamedTensors& tensors) {
    tensors.emplace_back("vit.pooler.dense.weight", at::ones({40, 40}));
  });
}

TEST(LoadModel, RefusesAPaceSectionItCannotRead) {
  const LoadedModel model = small_adaptive();
  const std::vector<std::pair<json::json_pointer, json>> cases = {
      {json::json_pointer("/pace"), 7},
      {json::json_pointer("/pace/format_version"), kFormatVersion + 1},
      {json::json_pointer("/pace/format_version"), 0},
      {json::json_pointer("/pace/format_version"), "1"},
      {json::json_pointer("/pace/acm"), json()},
      {json::json_pointer("/pace/acm/learners"), -1},
      {json::json_pointer("/pace/calibration"), 3},
  };
  for (const auto& [pointer, value] : cases) {
    json config = full_config(model);
    config[pointer] = value;
    const TemporaryFolder folder;
    write_model_folder(folder.path(), config, std::nullopt, model.model->parameters().all());
    EXPECT_THAT([&] { load_model(folder.path()); }, ThrowsMessage<Error>(HasSubstr("pace")))
        << pointer << " " << value;
  }
  NamedTensors tensors = model.model->parameters().all();
  tensors.emplace_back("left.over", at::ones(1));
  const TemporaryFolder folder;
  write_model_folder(folder.path(), full_config(model), std::nullopt, tensors);
  EXPECT_THAT([&] { load_model(folder.path()); }, ThrowsMessage<Error>(HasSubstr("left.over")));
  EXPECT_THAT([&] { build_dense(full_config(model), "here", nullptr, {}); },
              ThrowsMessage<Error>(HasSubstr("adaptive already")));
}

TEST(PassAt, TakesOnlyBudgetsThatMeanSomething) {
  const LoadedModel dense = small_model(), adaptive = small_adaptive();
  for (const double bad : {0.0, -0.5, 1.5, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT([&] { adaptive.pass_at(bad); }, ThrowsMessage<Error>(HasSubstr("(0, 1]")));
    EXPECT_THROW(dense.pass_at(bad), Error);
  }
  EXPECT_THAT([&] { dense.pass_at(0.5); }, ThrowsMessage<Error>(HasSubstr("dense")));
  EXPECT_EQ(dense.pass_at(1.0).form, Form::kExecuted);
  EXPECT_EQ(adaptive.pass_at(0.5).price, 0.0);
  EXPECT_EQ(adaptive.pass_at(0.5).budget, 0.5);
}

TEST(Labels, AreNumbersWhereTheConfigNamesNone) {
  json config = small_config();
  config.erase("id2label");
  EXPECT_THAT(build_dense(config, "here", nullptr, {}).model->labels(), ElementsAre("0", "1"));
  config["num_labels"] = 3;
  EXPECT_THAT(build_dense(config, "here", nullptr, {}).model->labels(), ElementsAre("0", "1", "2"));
}

TEST(Labels, AreOrderedByNumberNotByText) {
  json config = small_config();
  BuildOptions options;
  for (int i = 0; i < 12; ++i) options.labels.push_back(fmt::format("class {}", 11 - i));
  const LoadedModel made = build_dense(config, "here", nullptr, options);
  EXPECT_EQ(made.model->labels(), options.labels);
}

}  // namespace
}  // namespace pace
