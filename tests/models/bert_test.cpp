#include "pace/models/bert.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include "pace/base/error.h"
#include "tests/models/recorder.h"
#include "tests/models/small_bert.h"
#include "tests/reference.h"

namespace pace {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing_models::logits_of;
using testing_models::Recorder;
using testing_models::small_bert;
using testing_models::small_bert_config;
using testing_models::tokens_of;

class BertParity : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, BertParity,
                         ::testing::Values("bert_odd", "roberta_odd", "bert_mini", "minilm"));

TEST_P(BertParity, LogitsAndStatesEqualThoseOfTransformers) {
  const at::NoGradGuard no_grad;
  const fs::path folder = reference("bert");
  const LoadedModel loaded = load_model(folder / GetParam());
  const SafetensorsFile file(folder / (std::string(GetParam()) + ".safetensors"));
  std::vector<Tensor> states;
  const auto model = make_bert(
      loaded.model->config(), "test", std::make_unique<Parameters>(weights_of(*loaded.model)),
      dense_map,
      [&states](const DepthSpec&, Parameters&) { return std::make_unique<Recorder>(&states); });
  Pass pass;
  const Tensor logits = model->forward(file.tensor("inputs"), pass);
  EXPECT_LT((logits - file.tensor("logits")).abs().max().item<double>(), 1e-4);
  const Tensor expected = file.tensor("states");
  ASSERT_EQ(std::ssize(states), expected.size(0));
  EXPECT_LT((at::stack(states) - expected).abs().max().item<double>(), 1e-4);
  EXPECT_TRUE(pass.ledger.macs().equal(loaded.model->dense_macs(file.tensor("inputs"))));
  EXPECT_EQ(pass.ledger.macs().sum().item<double>(), static_cast<double>(pass.context.macs));
}

TEST(Bert, ATextDoesNotDependOnTheRestOfTheBatch) {
  const LoadedModel loaded = small_bert();
  const Tensor inputs = tokens_of({3, 16, 1, 7}, 4);
  const Tensor together = logits_of(*loaded.model, inputs);
  for (int64_t i = 0; i < inputs.size(0); ++i) {
    const Tensor own = inputs.narrow(0, i, 1);
    EXPECT_TRUE(logits_of(*loaded.model, own).equal(together.narrow(0, i, 1))) << "padded";
    const int64_t length = own.select(2, 0).ge(0).sum().item<int64_t>();
    EXPECT_TRUE(logits_of(*loaded.model, own.narrow(1, 0, length)).equal(together.narrow(0, i, 1)));
  }
}

TEST(Bert, BeginsAClassifierOnABackbone) {
  const ModelFolder folder = ModelFolder::open(reference("bert") / "bert_backbone");
  const LoadedModel built =
      build_dense(folder.config, "backbone", &folder.weights, {.labels = {"no", "yes", "maybe"}});
  EXPECT_EQ(logits_of(*built.model, tokens_of({4, 2}, 1)).sizes(), (at::IntArrayRef{2, 3}));
}

TEST(Bert, RefusesInputsThatMakeNoSense) {
  const LoadedModel loaded = small_bert();
  const auto forward = [&](const Tensor& inputs) {
    return [&loaded, inputs] { logits_of(*loaded.model, inputs); };
  };
  EXPECT_THAT(forward(tokens_of({17}, 1)),
              ThrowsMessage<Error>(HasSubstr("17 tokens; this model takes 1..16")));
  EXPECT_THAT(forward(tokens_of({3, 0}, 1)), ThrowsMessage<Error>(HasSubstr("0 tokens")));
  EXPECT_THAT(forward(at::zeros({2, 3}, at::kLong)), ThrowsMessage<Error>(HasSubstr("[2, 3]")));
  EXPECT_THAT(forward(at::full({1, 3, 2}, 50, at::kLong)),
              ThrowsMessage<Error>(HasSubstr("vocabulary is outside 0..49")));
  const Tensor odd_type = at::tensor({4, 2}, at::kLong).view({1, 1, 2});
  EXPECT_THAT(forward(odd_type), ThrowsMessage<Error>(HasSubstr("type is outside 0..1")));
}

TEST(BertConfig, RefusesWhatMakesNoSense) {
  const auto with = [](const char* field, const json& value) {
    return [field, value] {
      json config = small_bert_config();
      config[field] = value;
      BertConfig::from_json(config, "config.json");
    };
  };
  for (const auto& [field, value] :
       std::vector<std::pair<const char*, json>>{{"vocab_size", 0},
                                                 {"hidden_size", -1},
                                                 {"num_attention_heads", 5},
                                                 {"hidden_act", "relu"},
                                                 {"position_embedding_type", "relative_key"},
                                                 {"is_decoder", true},
                                                 {"max_position_embeddings", "many"}}) {
    EXPECT_THAT(with(field, value),
                ThrowsMessage<Error>(testing::AllOf(HasSubstr("config.json"), HasSubstr(field))));
  }
}

}  // namespace
}  // namespace pace
