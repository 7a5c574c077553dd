#include "pace/models/lstm.h"

#include <gmock/gmock.h>

#include "pace/base/error.h"
#include "tests/models/reference_case.h"
#include "tests/models/small_lstm.h"

namespace pace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing_models::logits_of;
using testing_models::randomise;
using testing_models::small_lstm;
using testing_models::small_lstm_config;
using testing_models::tokens_of;

class LstmParity : public ::testing::TestWithParam<const char*> {};

TEST_P(LstmParity, LogitsEqualThoseOfTorch) { testing_models::expect_parity("lstm", GetParam()); }

INSTANTIATE_TEST_SUITE_P(Models, LstmParity,
                         ::testing::Values("language_model", "one_layer", "classifier"));

TEST(Lstm, RepeatedStepsGiveOtherAnswersInBothForms) {
  const Tensor tokens = tokens_of({5, 1, 9}, 3);
  for (const bool language_model : {true, false}) {
    const LoadedModel once = small_lstm(1, language_model), thrice = small_lstm(3, language_model);
    double macs = 0.0, more = 0.0;
    const Tensor answer = logits_of(*thrice.model, tokens, &more);
    EXPECT_GT((logits_of(*once.model, tokens, &macs) - answer).abs().max().item<double>(), 0.01);
    EXPECT_EQ(more - macs, 15 * 2 * (4 * 19 * 19 * 3));
    Pass relaxed;
    relaxed.form = Form::kRelaxed;
    EXPECT_LT((thrice.model->forward(tokens, relaxed) - answer).abs().max().item<double>(), 1e-5);
  }
}

class LstmBits : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Models, LstmBits, ::testing::Bool());

TEST_P(LstmBits, OfATextAreTheSameWhateverStandsBesideIt) {
  const bool halts = GetParam();
  LoadedModel model = small_lstm(3);
  if (halts) {
    model = build_halting(model, {HaltingMethod::kAct}, 1);
    randomise(model.model->parameters(), 5);
  }
  const std::vector<int64_t> lengths{6, 1, 11, 6};
  const Tensor tokens = tokens_of(lengths, 4);
  const Tensor together = logits_of(*model.model, tokens);
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t length = lengths[static_cast<size_t>(i)];
    const Tensor alone = logits_of(*model.model, tokens.narrow(0, i, 1).narrow(1, 0, length));
    EXPECT_TRUE(alone[0].equal(together[i].narrow(0, 0, length)));
    EXPECT_EQ(together[i].narrow(0, length, 11 - length).abs().sum().item<double>(), 0.0);
  }
}

TEST(Lstm, RefusesTextsThatAreEmptyOrTooLongOrOfUnknownTokens) {
  json config = small_lstm_config(1);
  config["max_length"] = 8;
  const LoadedModel model = build_dense(config, "small", nullptr, {});
  const auto answer = [&](const Tensor& tokens) { logits_of(*model.model, tokens); };
  EXPECT_NO_THROW(answer(tokens_of({1, 8}, 1)));
  EXPECT_THAT(
      [&] {
        answer(tokens_of({3, 0}, 1));
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("0 tokens"), HasSubstr("1..8"))));
  EXPECT_THAT([&] { answer(tokens_of({9}, 1)); }, ThrowsMessage<Error>(HasSubstr("9 tokens")));
  EXPECT_THAT(
      [&] {
        answer(at::full({1, 2, 2}, 50, at::kLong));
      },
      ThrowsMessage<Error>(HasSubstr("outside 0..49")));
}

TEST(Lstm, MayHaltAfterOtherNumbersOfSteps) {
  const LoadedModel thrice = build_halting(small_lstm(1), {HaltingMethod::kAct}, 1, 3);
  const LoadedModel twice = build_halting(thrice, {HaltingMethod::kPact}, 1, 2);
  EXPECT_EQ(twice.model->config().at("ponder_steps"), 2);
  const WeightSource before = weights_of(*thrice.model);
  for (const auto& [name, tensor] : twice.model->parameters().all()) {
    EXPECT_TRUE(tensor.equal(*before(name))) << name;
  }
}

TEST(Lstm, NamesWhatIsWrongInAConfig) {
  const auto error = [](const char* field, const json& value) {
    json config = small_lstm_config(1);
    config[field] = value;
    try {
      LstmConfig::from_json(config, "config.json");
    } catch (const Error& found) {
      return std::string(found.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error("ponder_steps", 0), HasSubstr("ponder_steps"));
  EXPECT_THAT(error("hidden_size", -3), HasSubstr("hidden_size"));
  EXPECT_THAT(error("vocab_size", 0), HasSubstr("vocab_size"));
  EXPECT_THAT(error("embedding_size", "8"), HasSubstr("embedding_size"));
}

}  // namespace
}  // namespace pace
