#include "pace/models/kwt.h"

#include <gmock/gmock.h>

#include "pace/io/json.h"
#include "pace/models/factory.h"
#include "tests/error_of.h"
#include "tests/models/reference_case.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

json small_config() {
  return {{"model_type", "kwt"},      {"hidden_size", 16}, {"num_hidden_layers", 2},
          {"num_attention_heads", 2}, {"num_frames", 7},   {"num_mfcc", 5},
          {"intermediate_size", 24},  {"num_labels", 3},   {"initializer_range", 0.3}};
}

std::string refused(const std::string& field, const json& value) {
  json config = small_config();
  config[field] = value;
  return error_of([&] { build_dense(config, "config.json", nullptr, {}); });
}

TEST(Kwt, LogitsEqualThoseOfTheReference) { testing_models::expect_parity("audio", "kwt"); }

TEST(Kwt, AnswersEachSoundAsAlone) {
  const LoadedModel loaded = build_dense(small_config(), "config.json", nullptr, {});
  const Tensor inputs = at::randn({5, 7, 5});
  const Tensor together = testing_models::logits_of(*loaded.model, inputs);
  for (int64_t i = 0; i < 5; ++i) {
    const Tensor alone = testing_models::logits_of(*loaded.model, inputs.narrow(0, i, 1));
    EXPECT_TRUE(alone[0].equal(together[i])) << i;
  }
}

TEST(Kwt, NamesWhatItDoesNotSupport) {
  EXPECT_THAT(refused("hidden_act", "relu"), HasSubstr("hidden_act is 'relu'"));
  EXPECT_THAT(refused("layer_norm_position", "pre"), HasSubstr("layer_norm_position is 'pre'"));
  EXPECT_THAT(refused("use_cls_token", false), HasSubstr("use_cls_token is false"));
  EXPECT_THAT(refused("final_layer_norm", true), HasSubstr("final_layer_norm is true"));
  EXPECT_THAT(refused("num_attention_heads", 3), HasSubstr("num_attention_heads"));
  EXPECT_THAT(refused("num_frames", nullptr), HasSubstr("num_frames"));
  const LoadedModel loaded = build_dense(small_config(), "config.json", nullptr, {});
  for (const Tensor& inputs : {at::zeros({1, 6, 5}), at::zeros({7, 5}), at::zeros({0, 7, 5}),
                               at::zeros({1, 7, 5}, at::kLong)}) {
    EXPECT_THAT(error_of([&] {
                  Pass pass;
                  loaded.model->forward(inputs, pass);
                }),
                HasSubstr("[batch, 7, 5]"));
  }
}

}  // namespace
}  // namespace pace
