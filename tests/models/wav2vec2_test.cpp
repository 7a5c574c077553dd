#include "pace/models/wav2vec2.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include <cstdlib>

#include "pace/base/error.h"
#include "tests/models/recorder.h"
#include "tests/models/reference_case.h"
#include "tests/models/small_wav2vec2.h"

namespace pace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing_models::logits_of;
using testing_models::Recorder;
using testing_models::small_wav2vec2;
using testing_models::small_wav2vec2_config;
using testing_models::sounds_of;

class Wav2Vec2Parity : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, Wav2Vec2Parity,
                         ::testing::Values("group", "layer", "odd", "base"));

TEST_P(Wav2Vec2Parity, LogitsEqualThoseOfTransformers) {
  testing_models::expect_parity("wav2vec2", GetParam());
}

TEST_P(Wav2Vec2Parity, StatesEqualThoseOfTransformers) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = load_model(reference("wav2vec2") / GetParam());
  const SafetensorsFile file(reference("wav2vec2") / (std::string(GetParam()) + ".safetensors"));
  std::vector<Tensor> states;
  const auto model = make_wav2vec2(
      loaded.model->config(), "test", std::make_unique<Parameters>(weights_of(*loaded.model)),
      dense_map,
      [&states](const DepthSpec&, Parameters&) { return std::make_unique<Recorder>(&states); });
  testing_models::each_case(
      "wav2vec2", GetParam(), [&](const std::string& which, const Tensor& inputs, const Tensor&) {
        states.clear();
        Pass pass;
        model->forward(inputs, pass);
        const Tensor expected = file.tensor("states." + which);
        ASSERT_EQ(at::stack(states).sizes(), expected.sizes());
        EXPECT_LT((at::stack(states) - expected).abs().max().item<double>(), 1e-4) << which;
        EXPECT_EQ(pass.ledger.macs().sum().item<double>(), static_cast<double>(pass.context.macs));
      });
}

TEST(Wav2Vec2, ReadsFoldersWithOlderNamesAndWithoutPrefix) {
  const LoadedModel older = load_model(reference("wav2vec2") / "group_older");
  const LoadedModel newer = load_model(reference("wav2vec2") / "group");
  const Tensor sounds = sounds_of({900}, 1);
  EXPECT_TRUE(logits_of(*older.model, sounds).equal(logits_of(*newer.model, sounds)));
}

TEST(Wav2Vec2, TransformersReadsWhatItSaves) {
  const char* python = std::getenv("PACE_PYTHON");
  ASSERT_TRUE(python) << "PACE_PYTHON is unset; run the tests through ctest";
  const TemporaryFolder folder;
  for (const bool large : {false, true}) {
    const LoadedModel model = small_wav2vec2(large);
    save_model(folder / "model", model);
    const Tensor sounds = sounds_of({700}, 3);
    write_safetensors(folder / "sounds.safetensors", {{"sounds", sounds}}, {});
    write_text(folder / "ask.py",
               "import sys, torch\n"
               "from safetensors.torch import load_file, save_file\n"
               "from transformers import Wav2Vec2ForCTC\n"
               "model, report = Wav2Vec2ForCTC.from_pretrained(sys.argv[1] + '/model', "
               "output_loading_info=True)\n"
               "assert set(report['missing_keys']) <= {'wav2vec2.masked_spec_embed'}, report\n"
               "assert not report['unexpected_keys'], report\n"
               "sounds = load_file(sys.argv[1] + '/sounds.safetensors')['sounds']\n"
               "with torch.no_grad():\n"
               "    logits = model.eval()(sounds).logits\n"
               "save_file({'logits': logits}, sys.argv[1] + '/logits.safetensors')\n");
    const std::string command =
        fmt::format("'{}' '{}' '{}' 2> '{}'", python, (folder / "ask.py").string(),
                    folder.path().string(), (folder / "messages").string());
    ASSERT_EQ(std::system(command.c_str()), 0) << read_text(folder / "messages");
    const Tensor expected = SafetensorsFile(folder / "logits.safetensors").tensor("logits");
    EXPECT_LT((logits_of(*model.model, sounds) - expected).abs().max().item<double>(), 1e-4);
  }
}

TEST(Wav2Vec2, ASoundDoesNotDependOnTheRestOfTheBatch) {
  for (const bool large : {false, true}) {
    const LoadedModel model = small_wav2vec2(large);
    const std::vector<int64_t> lengths{333, 1200, 35, 700};
    const Tensor sounds = sounds_of(lengths, 4);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const at::NoGradGuard no_grad;
      Pass together;
      together.context.type = type;
      const Tensor all = model.model->forward(sounds, together);
      const kernels::Sequences& frames = together.ledger.sequences();
      ASSERT_EQ(all.size(1), frames.longest());
      for (int64_t i = 0; i < sounds.size(0); ++i) {
        for (const int64_t width : {lengths[static_cast<size_t>(i)], int64_t{1200}}) {
          Pass alone;
          alone.context.type = type;
          const Tensor own =
              model.model->forward(sounds[i].narrow(0, 0, width).unsqueeze(0), alone);
          EXPECT_EQ(own.size(1), frames.length(i));
          EXPECT_TRUE(own[0].equal(all[i].narrow(0, 0, frames.length(i)))) << i;
          EXPECT_EQ(alone.ledger.macs()[0].item<double>(),
                    together.ledger.macs()[i].item<double>());
        }
        EXPECT_EQ(all[i].slice(0, frames.length(i)).count_nonzero().item<int64_t>(), 0);
      }
      EXPECT_TRUE(together.ledger.macs().equal(model.model->dense_macs(sounds)));
      EXPECT_EQ(together.ledger.macs().sum().item<double>(),
                static_cast<double>(together.context.macs));
    }
  }
}

TEST(Wav2Vec2, TrainsWithTheSameLogitsAndGradientsEverywhere) {
  for (const bool large : {false, true}) {
    const LoadedModel model = small_wav2vec2(large);
    const Tensor sounds = sounds_of({333, 90}, 4);
    Pass pass;
    pass.form = Form::kRelaxed;
    const Tensor logits = model.model->forward(sounds, pass);
    EXPECT_LT((logits - logits_of(*model.model, sounds)).abs().max().item<double>(), 1e-4);
    logits.square().sum().backward();
    for (const auto& [name, tensor] : model.model->parameters().all()) {
      if (name.ends_with("k_proj.bias")) continue;  // a softmax takes it off again
      ASSERT_TRUE(tensor.grad().defined()) << name;
      EXPECT_GT(tensor.grad().abs().max().item<double>(), 0.0) << name;
    }
  }
}

TEST(Wav2Vec2, BeginsAHeadOnWhatWasPretrained) {
  const ModelFolder folder = ModelFolder::open(reference("wav2vec2") / "pretrained");
  const LoadedModel built =
      build_dense(folder.config, "pretrained", &folder.weights, {.layers = 2});
  EXPECT_EQ(built.model->config().at("num_hidden_layers"), 2);
  EXPECT_EQ(built.model->config().at("architectures"), json::array({"Wav2Vec2ForCTC"}));
  EXPECT_EQ(logits_of(*built.model, sounds_of({720}, 1)).sizes(), (at::IntArrayRef{1, 2, 13}));
}

TEST(Wav2Vec2, RefusesInputsThatMakeNoSense) {
  const LoadedModel model = small_wav2vec2();
  const auto forward = [&](const Tensor& inputs) {
    return [&model, inputs] { logits_of(*model.model, inputs); };
  };
  EXPECT_NO_THROW(forward(sounds_of({30}, 1))());
  EXPECT_THAT(
      forward(sounds_of({400, 29}, 1)),
      ThrowsMessage<Error>(HasSubstr("a sound of 29 samples; this model needs at least 30")));
  EXPECT_THAT(forward(at::zeros({1, 400, 1})), ThrowsMessage<Error>(HasSubstr("[1, 400, 1]")));
  EXPECT_THAT(forward(at::zeros({0, 400})), ThrowsMessage<Error>(HasSubstr("[0, 400]")));
  EXPECT_THAT(forward(at::zeros({1, 400}, at::kLong)), ThrowsMessage<Error>(HasSubstr("Long")));
  const Tensor broken = sounds_of({400}, 1);
  broken[0][17].fill_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(forward(broken), ThrowsMessage<Error>(HasSubstr("not a number")));
}

TEST(Wav2Vec2Config, CountsFramesAndSamples) {
  json base = small_wav2vec2_config();
  for (const char* field : {"conv_dim", "conv_kernel", "conv_stride"}) base.erase(field);
  const Wav2Vec2Config config = Wav2Vec2Config::from_json(base, "config.json");
  EXPECT_EQ(config.least_samples(), 400);
  EXPECT_EQ(config.frames(399), 0);
  EXPECT_EQ(config.frames(400), 1);
  EXPECT_EQ(config.frames(160000), 499);
  EXPECT_NEAR(static_cast<double>(config.feature_macs(160000)), 24.5e9, 0.5e9);
}

TEST(Wav2Vec2Config, RefusesWhatMakesNoSense) {
  const auto with = [](const char* field, const json& value) {
    return [field, value] {
      json config = small_wav2vec2_config();
      config[field] = value;
      Wav2Vec2Config::from_json(config, "config.json");
    };
  };
  for (const auto& [field, value] :
       std::vector<std::pair<const char*, json>>{{"vocab_size", 0},
                                                 {"hidden_size", -1},
                                                 {"num_attention_heads", 5},
                                                 {"num_conv_pos_embedding_groups", 5},
                                                 {"hidden_act", "relu"},
                                                 {"feat_extract_activation", "selu"},
                                                 {"feat_extract_norm", "batch"},
                                                 {"add_adapter", true},
                                                 {"adapter_attn_dim", 16},
                                                 {"conv_dim", {9, 12}},
                                                 {"conv_kernel", {10, 0, 2}},
                                                 {"conv_stride", "5"}}) {
    EXPECT_THAT(with(field, value),
                ThrowsMessage<Error>(AllOf(HasSubstr("config.json"), HasSubstr(field))));
  }
}

}  // namespace
}  // namespace pace
