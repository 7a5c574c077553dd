#include "pace/models/vit.h"

#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>

#include "pace/base/error.h"
#include "tests/models/reference_case.h"
#include "tests/models/small_models.h"
#include "tests/reference.h"

namespace pace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing_models::logits_of;
using testing_models::small_config;
using testing_models::small_model;

class ViTParity : public ::testing::TestWithParam<const char*> {};

TEST_P(ViTParity, LogitsEqualThoseOfTransformers) {
  testing_models::expect_parity("vit", GetParam());
}

INSTANTIATE_TEST_SUITE_P(Models, ViTParity,
                         ::testing::Values("vit_odd", "vit_no_bias", "dinov2_odd", "dinov2_small",
                                           "vit_base"));

class BothFamilies : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(ViT, BothFamilies, ::testing::Bool());

TEST_P(BothFamilies, LedgerAndCounterAndAnalysisAgree) {
  const LoadedModel loaded = small_model(GetParam());
  for (const auto& [height, width] : {std::pair{28, 28}, std::pair{35, 14}, std::pair{7, 7}}) {
    const Tensor pixels = at::randn({3, 1, height, width});
    Pass pass;
    loaded.model->forward(pixels, pass);
    const Tensor dense = loaded.model->dense_macs(pixels);
    EXPECT_EQ(static_cast<double>(pass.context.macs), dense.sum().item<double>());
    EXPECT_TRUE(pass.ledger.macs().equal(dense));
  }
}

TEST_P(BothFamilies, PositionsTellWhereFromTheStartOfTraining) {
  const LoadedModel fresh = build_dense(small_config(GetParam()), "small", nullptr, {});
  const std::string prefix = GetParam() ? "dinov2" : "vit";
  const at::NoGradGuard no_grad;
  const Tensor all = fresh.model->parameters().at(prefix + ".embeddings.position_embeddings")[0];
  EXPECT_EQ(all[0].abs().max().item<float>(), 0.0F) << "the class token stands nowhere";
  const Tensor grid = all.slice(0, 1).view({4, 4, -1});
  const auto distance = [&](int row, int column) {
    return (grid[row][column] - grid[0][0]).norm().item<double>();
  };
  EXPECT_GT(distance(0, 1), 0.1);
  EXPECT_NEAR(distance(0, 1), distance(1, 0), 1e-5);
  EXPECT_LT(distance(0, 1), distance(1, 1));
  EXPECT_LT(distance(1, 1), distance(3, 3));
}

TEST_P(BothFamilies, AnExampleDoesNotDependOnTheRestOfTheBatch) {
  const LoadedModel loaded = small_model(GetParam());
  const Tensor pixels = at::randn({5, 1, 28, 28});
  const Tensor together = logits_of(*loaded.model, pixels);
  for (int64_t i = 0; i < 5; ++i) {
    const Tensor alone = logits_of(*loaded.model, pixels.slice(0, i, i + 1));
    EXPECT_LT((alone[0] - together[i]).abs().max().item<double>(), 1e-5);
  }
}

TEST_P(BothFamilies, EveryParameterThatIsUsedGetsAGradientAtAnyResolution) {
  for (const int64_t side : {28, 42}) {
    const LoadedModel loaded = small_model(GetParam());
    Pass pass;
    loaded.model->forward(at::randn({2, 1, side, side}), pass).square().sum().backward();
    for (const auto& [name, tensor] : loaded.model->parameters().all()) {
      if (name.ends_with("mask_token")) continue;
      ASSERT_TRUE(tensor.grad().defined()) << name;
      EXPECT_TRUE(tensor.grad().isfinite().all().item<bool>()) << name;
      // A bias of the keys moves every score of a query alike, which softmax does not see.
      if (name.ends_with("key.bias")) continue;
      EXPECT_GT(tensor.grad().abs().max().item<double>(), 0.0) << name;
    }
  }
}

TEST_P(BothFamilies, RunsUnderAutocastInBfloat16) {
  const LoadedModel loaded = small_model(GetParam());
  const Tensor pixels = at::randn({2, 1, 28, 28});
  const Tensor exact = logits_of(*loaded.model, pixels);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  Pass pass;
  const Tensor rough = loaded.model->forward(pixels, pass);
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_EQ(rough.scalar_type(), at::kFloat);
  rough.sum().backward();
  const double difference = (rough - exact).abs().max().item<double>();
  EXPECT_GT(difference, 0.0) << "autocast had no effect";
  EXPECT_LT(difference, 0.05 * exact.abs().max().item<double>() + 0.02);
}

TEST(ViT, TellsItsMapsInOrderOfExecution) {
  const LoadedModel loaded = small_model();
  std::vector<std::string> sites;
  for (const MapSpec& spec : loaded.model->maps()) sites.push_back(spec.site);
  EXPECT_THAT(
      sites, ::testing::ElementsAre("layer.0.query", "layer.0.key", "layer.0.value",
                                    "layer.0.output", "layer.0.mlp", "layer.1.query", "layer.1.key",
                                    "layer.1.value", "layer.1.output", "layer.1.mlp"));
}

TEST(ViT, RefusesInputsItWasNotMadeFor) {
  const LoadedModel loaded = small_model();
  const auto forward = [&](const Tensor& inputs) {
    return [&loaded, inputs] { logits_of(*loaded.model, inputs); };
  };
  EXPECT_THAT(forward(at::zeros({2, 3, 28, 28})),
              ThrowsMessage<Error>(AllOf(HasSubstr("[2, 3, 28, 28]"), HasSubstr("[batch, 1"))));
  EXPECT_THAT(forward(at::zeros({1, 28, 28})), ThrowsMessage<Error>(HasSubstr("[1, 28, 28]")));
  EXPECT_THAT(forward(at::zeros({0, 1, 28, 28})), ThrowsMessage<Error>(HasSubstr("[0, 1")));
  EXPECT_THAT(forward(at::zeros({1, 1, 28, 27})),
              ThrowsMessage<Error>(AllOf(HasSubstr("28 x 27"), HasSubstr("patch size 7"))));
  EXPECT_THAT(forward(at::zeros({1, 1, 0, 28})), ThrowsMessage<Error>(HasSubstr("0 x 28")));
  EXPECT_THAT(forward(at::zeros({1, 1, 28, 28}, at::kByte)),
              ThrowsMessage<Error>(HasSubstr("floating-point")));
  EXPECT_THROW(loaded.model->dense_macs(at::zeros({1, 1, 28, 27})), Error);
}

TEST(ViTConfig, ReadsWhatTransformersWrites) {
  const ViTConfig vit = ViTConfig::from_json(small_config(), "here");
  EXPECT_FALSE(vit.dinov2 || vit.mask_token);
  EXPECT_EQ(vit.encoder.hidden, 52);
  EXPECT_EQ(vit.classes, 3);
  EXPECT_EQ(vit.encoder.norm_epsilon, 1e-12);
  json config = small_config(true);
  config["image_size"] = {28, 28};
  config["layerscale_value"] = 0.1;
  const ViTConfig dinov2 = ViTConfig::from_json(config, "here");
  EXPECT_TRUE(dinov2.dinov2 && dinov2.mask_token);
  EXPECT_EQ(dinov2.image_size, 28);
  EXPECT_EQ(dinov2.encoder.hidden, 160);
  EXPECT_EQ(dinov2.encoder.layer_scale, 0.1);
  EXPECT_EQ(dinov2.encoder.norm_epsilon, 1e-6);
}

struct BadField {
  const char* field;
  json value;
};

TEST(ViTConfig, NamesTheFieldThatIsWrong) {
  const std::vector<BadField> cases = {{"model_type", "bert"},
                                       {"model_type", 3},
                                       {"hidden_act", "relu"},
                                       {"use_swiglu_ffn", true},
                                       {"hidden_size", 41},
                                       {"hidden_size", 0},
                                       {"hidden_size", "40"},
                                       {"hidden_size", json()},
                                       {"num_hidden_layers", -1},
                                       {"num_attention_heads", 0},
                                       {"image_size", 30},
                                       {"image_size", {28, 35}},
                                       {"image_size", {28}},
                                       {"image_size", json::array()},
                                       {"patch_size", 7.5},
                                       {"patch_size", int64_t{1} << 40},
                                       {"num_channels", 0},
                                       {"mlp_ratio", 0},
                                       {"mlp_ratio", 1e30},
                                       {"layer_norm_eps", -1},
                                       {"id2label", {{"1", "cat"}}},
                                       {"id2label", {{"0", 1}}},
                                       {"id2label", json::array()},
                                       {"num_labels", 4},
                                       {"initializer_range", "tiny"},
                                       {"qkv_bias", 1}};
  for (const BadField& bad : cases) {
    json config = small_config(true);
    config[bad.field] = bad.value;
    EXPECT_THAT([&] { ViTConfig::from_json(config, "some/config.json"); },
                ThrowsMessage<Error>(AllOf(HasSubstr("some/config.json"), HasSubstr(bad.field))))
        << bad.field << " " << bad.value;
  }
  EXPECT_THROW(ViTConfig::from_json(json::array(), "here"), Error);
}

}  // namespace
}  // namespace pace
