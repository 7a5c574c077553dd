#include "pace/models/resnet.h"

#include <gmock/gmock.h>

#include "pace/base/error.h"
#include "tests/models/reference_case.h"

namespace pace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class ResNetParity : public ::testing::TestWithParam<const char*> {};

TEST_P(ResNetParity, LogitsEqualThoseOfThePlainDefinition) {
  testing_models::expect_parity("resnet", GetParam());
}

INSTANTIATE_TEST_SUITE_P(Models, ResNetParity,
                         ::testing::Values("cifar32", "cifar_odd", "resnet50", "resnet18"));

json small_config() {
  return {{"model_type", "resnet-cifar"}, {"layer_type", "basic"}, {"num_channels", 1},
          {"embedding_size", 4},          {"depths", {1, 2}},      {"hidden_sizes", {4, 8}},
          {"stage_strides", {1, 2}},      {"num_labels", 3}};
}

TEST(ResNet, TrainsByBatchStatisticsAndLearnsThem) {
  const LoadedModel loaded = build_dense(small_config(), "small", nullptr, {});
  const Tensor mean = loaded.model->parameters().at("bn1.running_mean");
  EXPECT_FALSE(mean.requires_grad());
  Pass pass;
  pass.form = Form::kRelaxed;
  pass.batch_statistics = true;
  loaded.model->forward(at::rand({4, 1, 8, 8}) + 1.0, pass).sum().backward();
  EXPECT_GT(mean.abs().max().item<double>(), 0.0);
  EXPECT_FALSE(mean.grad().defined());
  EXPECT_TRUE(loaded.model->parameters().at("conv1.weight").grad().defined());
}

TEST(ResNet, RefusesPicturesThatAreTooSmallOrOfOtherChannels) {
  const LoadedModel loaded = build_dense(small_config(), "small", nullptr, {});
  Pass pass;
  EXPECT_THAT(
      [&] {
        loaded.model->forward(at::rand({1, 1, 1, 8}), pass);
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("1 x 8 pixels"), HasSubstr("2 x 2"))));
  EXPECT_THAT(
      [&] {
        loaded.model->forward(at::rand({1, 3, 8, 8}), pass);
      },
      ThrowsMessage<Error>(HasSubstr("[batch, 1, height, width]")));
}

TEST(ResNet, NamesWhatIsWrongInAConfig) {
  const auto error = [](const char* field, const json& value) {
    json config = small_config();
    config[field] = value;
    try {
      ResNetConfig::from_json(config, "config.json");
    } catch (const Error& found) {
      return std::string(found.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error("depths", {1, 2, 3}), HasSubstr("hidden_sizes"));
  EXPECT_THAT(error("depths", "1, 2"), AllOf(HasSubstr("depths"), HasSubstr("list")));
  EXPECT_THAT(error("depths", {1, 0}), HasSubstr("depths is 0"));
  EXPECT_THAT(error("depths", {1, 1.5}), HasSubstr("1.5"));
  EXPECT_THAT(error("hidden_sizes", {4, 7}), HasSubstr("from 4 to 7"));
  EXPECT_THAT(error("layer_type", "wide"), AllOf(HasSubstr("'wide'"), HasSubstr("bottleneck")));
  EXPECT_THAT(error("hidden_act", "gelu"), HasSubstr("relu"));
  EXPECT_THAT(error("shortcut_type", "B"), HasSubstr("shortcut_type is 'B'"));
  EXPECT_THAT(error("conv_bias", true), HasSubstr("conv_bias"));
  EXPECT_THAT(error("batch_norm_eps", -1), HasSubstr("batch_norm_eps"));
}

}  // namespace
}  // namespace pace
