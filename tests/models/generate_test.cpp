#include "pace/models/generate.h"

#include <gmock/gmock.h>

#include <cmath>

#include "pace/base/error.h"
#include "tests/error_of.h"
#include "tests/models/small_decoder.h"
#include "tests/models/small_lstm.h"
#include "tests/reference.h"

namespace pace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing_models::small_decoder;
using testing_models::small_lstm;
using Tokens = std::vector<int64_t>;

Tokens values_of(const Tensor& tensor) {
  const int64_t* values = tensor.const_data_ptr<int64_t>();
  return {values, values + tensor.numel()};
}

class Greedy : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, Greedy,
                         ::testing::Values("gpt2_odd", "gpt2_untied", "llama_odd",
                                           "llama_grouped"));

TEST_P(Greedy, GoesOnAsTransformersDoes) {
  constexpr int64_t kNew = 20;
  const fs::path folder = reference("decoder");
  const SafetensorsFile file(folder / (std::string(GetParam()) + ".safetensors"));
  const Tokens all = values_of(file.tensor("greedy"));
  const Tokens prompt(all.begin(), all.end() - kNew), expected(all.end() - kNew, all.end());
  const LoadedModel model = load_model(folder / GetParam());
  const Generated generated = generate(model, 1.0, {prompt}, {.most_tokens = kNew});
  EXPECT_EQ(generated.sequences[0].tokens, expected);
  EXPECT_EQ(generated.sequences[0].stop, Stop::kLength);
  EXPECT_EQ(generated.sequences[0].macs, generated.sequences[0].dense_macs);
  EXPECT_GT(generated.memory_bytes, 0);
}

TEST(Generate, ContinuesEachSequenceAsItWouldAlone) {
  const LoadedModel model = small_decoder(true);
  const std::vector<Tokens> prompts{{3, 14, 15}, {9}, {2, 6, 5, 3, 5, 8, 9, 7}};
  GenerationOptions options{.sampling = {.temperature = 1.0, .seed = 4}, .most_tokens = 12};
  const Generated together = generate(model, 1.0, prompts, options);
  // The random numbers are those of a sequence's place, so the first place is compared.
  const Generated alone = generate(model, 1.0, {prompts[0]}, options);
  EXPECT_EQ(together.sequences[0].tokens, alone.sequences[0].tokens);
  options.sampling.temperature = 0.0;
  const Generated greedy = generate(model, 1.0, prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const Generated own = generate(model, 1.0, {prompts[i]}, options);
    EXPECT_EQ(greedy.sequences[i].tokens, own.sequences[0].tokens) << i;
    EXPECT_EQ(greedy.sequences[i].macs, own.sequences[0].macs) << i;
  }
}

TEST(Generate, StopsAtATokenAtALengthAndAtTheEndOfTheContext) {
  const LoadedModel model = small_decoder(false);
  const std::vector<Tokens> prompts{{1, 2, 3}, {4, 5}};
  const Generated free = generate(model, 1.0, prompts, {.most_tokens = 6});
  const int64_t stop = free.sequences[0].tokens[2];
  std::vector<Tokens> seen(2);
  const Generated stopped =
      generate(model, 1.0, prompts, {.most_tokens = 6, .stops = {stop}},
               [&](int64_t sequence, int64_t token) { seen[sequence].push_back(token); });
  EXPECT_EQ(stopped.sequences[0].stop, Stop::kToken);
  const Tokens& before = free.sequences[0].tokens;
  const auto first = std::ranges::find(before, stop);
  EXPECT_EQ(stopped.sequences[0].tokens, Tokens(before.begin(), first));
  EXPECT_EQ(seen[0], stopped.sequences[0].tokens);
  EXPECT_EQ(seen[1], stopped.sequences[1].tokens);

  const Generated whole = generate(model, 1.0, prompts, {.most_tokens = 100});
  EXPECT_EQ(whole.sequences[0].stop, Stop::kContext);
  EXPECT_EQ(std::ssize(whole.sequences[0].tokens), 37);
  EXPECT_EQ(std::ssize(whole.sequences[1].tokens), 38);
  EXPECT_EQ(whole.sequences[1].macs, whole.sequences[1].dense_macs);
}

/// How often each token follows, of many draws.
std::vector<double> frequencies(const LoadedModel& model, Sampling sampling, int64_t draws) {
  std::vector<double> counts(50, 0.0);
  for (int64_t i = 0; i < draws; ++i) {
    sampling.seed = static_cast<uint64_t>(i);
    const Generated one = generate(model, 1.0, {{7, 7}}, {.sampling = sampling, .most_tokens = 1});
    counts[static_cast<size_t>(one.sequences[0].tokens[0])] += 1.0 / static_cast<double>(draws);
  }
  return counts;
}

TEST(Generate, DrawsTokensByTheirProbability) {
  const at::NoGradGuard no_grad;
  const LoadedModel model = small_decoder(true);
  Pass pass;
  pass.last_only = true;
  const Tensor prompt = at::stack({at::full({2}, 7, at::kLong), at::zeros({2}, at::kLong)}, 1);
  const Tensor logits = model.model->forward(prompt.unsqueeze(0), pass).flatten();
  const Tensor p = (logits / 0.7).softmax(0);
  constexpr int64_t kDraws = 2000;
  const std::vector<double> all = frequencies(model, {.temperature = 0.7}, kDraws);
  for (int64_t i = 0; i < 50; ++i) {
    const double own = p[i].item<double>();
    EXPECT_NEAR(all[static_cast<size_t>(i)], own, 4.5 * std::sqrt(own / kDraws) + 1e-3) << i;
  }
  const auto used = [](const std::vector<double>& shares) {
    return std::ranges::count_if(shares, [](double share) { return share > 0.0; });
  };
  const int64_t best = logits.argmax().item<int64_t>();
  EXPECT_EQ(frequencies(model, {.temperature = 1e-307}, 1)[static_cast<size_t>(best)], 1.0);
  EXPECT_EQ(used(frequencies(model, {.temperature = 3.0, .top_k = 3}, 200)), 3);
  const Tensor sorted = std::get<0>(p.sort(0, true)).cumsum(0);
  const int64_t nucleus = sorted.lt(0.6).sum().item<int64_t>() + 1;
  EXPECT_EQ(used(frequencies(model, {.temperature = 0.7, .top_p = 0.6}, 500)), nucleus);
}

TEST(Generate, RefusesWhatMakesNoSense) {
  const LoadedModel model = small_decoder(true);
  const auto with = [&](std::vector<Tokens> prompts, GenerationOptions options) {
    return [&model, prompts, options] { generate(model, 1.0, prompts, options); };
  };
  const auto says = [](const char* text) { return ThrowsMessage<Error>(HasSubstr(text)); };
  EXPECT_THAT(with({}, {.most_tokens = 1}), says("no prompts"));
  EXPECT_THAT(with({{1}, {}}, {.most_tokens = 1}), says("empty prompt"));
  EXPECT_THAT(with({Tokens(40, 1)}, {.most_tokens = 1}), says("prompt of 40 tokens"));
  EXPECT_THAT(with({{50}}, {.most_tokens = 1}), says("outside 0..49"));
  EXPECT_THAT(with({{1}}, {}), says("0 tokens"));
  EXPECT_THAT(with({{1}}, {.sampling = {.temperature = std::nan("")}, .most_tokens = 1}),
              says("temperature of nan"));
  EXPECT_THAT(with({{1}}, {.sampling = {.top_k = -1}, .most_tokens = 1}), says("top-k is -1"));
  EXPECT_THAT(with({{1}}, {.sampling = {.top_p = 0.0}, .most_tokens = 1}), says("top-p is 0"));
  const LoadedModel lstm = small_lstm(1);
  EXPECT_THAT([&] { generate(lstm, 1.0, {{1}}, {.most_tokens = 1}); }, says("gpt2 and llama"));
  const at::NoGradGuard no_grad;
  model.model->parameters().at("model.norm.weight").fill_(INFINITY);
  EXPECT_THAT(with({{1}}, {.most_tokens = 1}), says("not finite"));
}

TEST(Generate, FindsWhatEndsATextInAConfig) {
  EXPECT_THAT(text_ends({{"bos_token_id", 1}, {"eos_token_id", {2, 7}}}), ElementsAre(1, 2, 7));
  EXPECT_THAT(text_ends({{"bos_token_id", nullptr}}), ElementsAre());
  EXPECT_THAT(error_of([] {
                text_ends({{"eos_token_id", "</s>"}});
              }),
              HasSubstr("eos_token_id is \"</s>\""));
}

}  // namespace
}  // namespace pace
