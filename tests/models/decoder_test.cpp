#include "pace/models/decoder.h"

#include <gmock/gmock.h>

#include "pace/base/error.h"
#include "tests/models/reference_case.h"
#include "tests/models/small_decoder.h"

namespace pace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing_models::logits_of;
using testing_models::small_decoder;
using testing_models::small_decoder_config;
using testing_models::tokens_of;

class DecoderParity : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, DecoderParity,
                         ::testing::Values("gpt2_odd", "gpt2_untied", "llama_odd",
                                           "llama_grouped"));

TEST_P(DecoderParity, LogitsEqualThoseOfTransformers) {
  testing_models::expect_parity("decoder", GetParam());
}

class DecoderBits : public ::testing::TestWithParam<std::tuple<bool, at::ScalarType>> {
 protected:
  bool llama() const { return std::get<0>(GetParam()); }
  Pass pass() const {
    Pass pass;
    pass.context.type = std::get<1>(GetParam());
    return pass;
  }
};
INSTANTIATE_TEST_SUITE_P(Models, DecoderBits,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(at::kFloat, at::kBFloat16)));

TEST_P(DecoderBits, OfATextAreTheSameWhateverStandsBesideIt) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = small_decoder(llama());
  const std::vector<int64_t> lengths{6, 1, 37, 6};
  const Tensor tokens = tokens_of(lengths, 4);
  Pass all = pass();
  const Tensor together = loaded.model->forward(tokens, all);
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t length = lengths[static_cast<size_t>(i)];
    Pass own = pass();
    const Tensor alone = loaded.model->forward(tokens.narrow(0, i, 1).narrow(1, 0, length), own);
    EXPECT_TRUE(alone[0].equal(together[i].narrow(0, 0, length)));
  }
}

TEST_P(DecoderBits, AreTheSameTokenByTokenAndInOneGo) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = small_decoder(llama());
  const Tensor tokens = tokens_of({40, 40}, 4);
  Pass whole = pass();
  const Tensor expected = loaded.model->forward(tokens, whole);
  Memory memory(3, 2);
  double macs = 0.0;
  int64_t counted = 0, done = 0;
  // A prompt, single tokens, and several at once behind an odd number.
  for (const int64_t count : {5, 1, 1, 1, 3, 1, 20, 1, 7}) {
    Pass next = pass();
    next.memory = &memory;
    const Tensor logits = loaded.model->forward(tokens.narrow(1, done, count), next);
    EXPECT_TRUE(logits.equal(expected.narrow(1, done, count))) << done;
    macs += next.ledger.macs().sum().item<double>();
    counted += next.context.macs;
    done += count;
  }
  EXPECT_EQ(done, 40);
  EXPECT_EQ(macs, whole.ledger.macs().sum().item<double>());
  EXPECT_EQ(macs, static_cast<double>(counted));
  EXPECT_EQ(memory.tokens, (std::vector<int64_t>{40, 40}));
}

TEST_P(DecoderBits, OfTheLastTokenAloneAreTheSame) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = small_decoder(llama());
  const Tensor tokens = tokens_of({3, 17}, 4);
  Pass whole = pass(), last = pass();
  last.last_only = true;
  const Tensor expected = loaded.model->forward(tokens, whole);
  const Tensor logits = loaded.model->forward(tokens, last);
  ASSERT_EQ(logits.sizes(), (at::IntArrayRef{2, 1, 50}));
  EXPECT_TRUE(logits[0][0].equal(expected[0][2]));
  EXPECT_TRUE(logits[1][0].equal(expected[1][16]));
  EXPECT_EQ(whole.ledger.macs().sum().item<double>() - last.ledger.macs().sum().item<double>(),
            18 * loaded.model->answer_macs());
}

TEST(Decoder, MemoryKeepsTheSequencesThatGoOn) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = small_decoder(true);
  const Tensor tokens = tokens_of({9, 9, 9}, 4);
  Memory memory(3, 3);
  Pass begin, rest;
  begin.memory = rest.memory = &memory;
  loaded.model->forward(tokens.narrow(1, 0, 5), begin);
  const int64_t bytes = memory.bytes();
  memory.keep({0, 2});
  EXPECT_EQ(memory.bytes(), bytes / 3 * 2);
  const Tensor kept = tokens.index_select(0, at::tensor({0, 2}, at::kLong));
  Pass whole;
  const Tensor expected = loaded.model->forward(kept, whole).narrow(1, 5, 4);
  EXPECT_TRUE(loaded.model->forward(kept.narrow(1, 5, 4), rest).equal(expected));
}

TEST(Decoder, RefusesInputsThatMakeNoSense) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = small_decoder(false);
  const auto forward = [&](const Tensor& inputs) {
    return [&loaded, inputs] { logits_of(*loaded.model, inputs); };
  };
  EXPECT_THAT(forward(tokens_of({41}, 1)),
              ThrowsMessage<Error>(HasSubstr("41 tokens; this model takes 1..40")));
  EXPECT_THAT(forward(tokens_of({3, 0}, 1)), ThrowsMessage<Error>(HasSubstr("0 tokens")));
  EXPECT_THAT(forward(at::full({1, 3, 2}, 50, at::kLong)),
              ThrowsMessage<Error>(HasSubstr("vocabulary is outside 0..49")));
  Memory memory(3, 1);
  Pass begin, rest;
  begin.memory = rest.memory = &memory;
  loaded.model->forward(tokens_of({39}, 1), begin);
  EXPECT_THAT(
      [&] {
        loaded.model->forward(tokens_of({1, 1}, 1), rest);
      },
      ThrowsMessage<Error>(HasSubstr("memory of 1 sequences with inputs of 2")));
  EXPECT_THAT([&] { loaded.model->forward(tokens_of({2}, 1), rest); },
              ThrowsMessage<Error>(HasSubstr("41 tokens; this model takes 1..40")));
}

TEST(Decoder, RefusesOtherThanWholeModels) {
  json config = small_decoder_config(false);
  EXPECT_THAT([&] { build_dense(config, "small", nullptr, {.layers = 2}); },
              ThrowsMessage<Error>(HasSubstr("only an encoder")));
  EXPECT_THAT(
      [&] {
        build_dense(config, "small", nullptr, {.labels = {"a", "b"}});
      },
      ThrowsMessage<Error>(HasSubstr("tells no classes apart")));
}

TEST(DecoderConfig, RefusesWhatMakesNoSense) {
  const auto with = [](bool llama, const char* field, const json& value) {
    return [llama, field, value] {
      json config = small_decoder_config(llama);
      config[field] = value;
      DecoderConfig::from_json(config, "config.json");
    };
  };
  struct Case {
    bool llama;
    const char* field;
    json value;
  };
  for (const auto& [llama, field, value] :
       std::vector<Case>{{false, "vocab_size", 0},
                         {false, "n_head", 5},
                         {false, "n_layer", "many"},
                         {false, "activation_function", "relu"},
                         {false, "scale_attn_by_inverse_layer_idx", true},
                         {true, "max_position_embeddings", 1 << 21},
                         {true, "hidden_act", "gelu"},
                         {true, "num_key_value_heads", 3},
                         {true, "head_dim", 7},
                         {true, "rope_theta", 0.0},
                         {true, "rope_scaling", {{"rope_type", "llama3"}}},
                         {true, "rms_norm_eps", -1.0}}) {
    EXPECT_THAT(with(llama, field, value),
                ThrowsMessage<Error>(AllOf(HasSubstr("config.json"), HasSubstr(field))));
  }
}

}  // namespace
}  // namespace pace
