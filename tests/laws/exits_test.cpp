// The laws of docs/architecture.md for exits, whose dial is when to stop: what a full run would
// answer is the law, and stopping early must not change it.

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/laws/methods.h"
#include "tests/models/small_bert.h"
#include "tests/temporary_folder.h"

namespace pace::laws {
namespace {

constexpr double kNever = -1e6, kRounding = 2e-5;

LoadedModel disturbed(LoadedModel model) {
  const at::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(12);
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    const bool exit = name.starts_with("exit.");
    tensor.add_(at::randn(tensor.sizes(), generator) * (exit ? 0.6 : 0.02));
  }
  return model;
}

/// Exits over a BERT of six blocks, over a ViT, and over a BERT with adaptive modules in its
/// blocks.
LoadedModel model_of(const std::string& backbone, const ExitConfig& config) {
  if (backbone == "ViT") return disturbed(build_exits(testing_models::small_model(), config, 3));
  const LoadedModel dense = testing_models::small_bert(6);
  if (backbone == "Bert") return disturbed(build_exits(dense, config, 3));
  const AcmConfig modules = acm_of({MapKind::kMlp, MapKind::kOutput}, 4, GateKind::kLearned);
  return disturbed(build_exits(acm(dense, modules, *bert().data(40, 20)), config, 3));
}

Tensor inputs_of(const std::string& backbone, int64_t batch) {
  return backbone == "ViT" ? backbones()[0].inputs(batch) : bert().inputs(batch);
}

Tensor run(const LoadedModel& model, const Tensor& inputs, Pass& pass) {
  const at::NoGradGuard no_grad;
  return model.model->forward(inputs, pass);
}

Pass executed(double price) {
  Pass pass;
  pass.price = price;
  return pass;
}

class ExitLaws : public testing::TestWithParam<std::tuple<std::string, ExitRule>> {
 protected:
  const std::string& backbone() const { return std::get<0>(GetParam()); }
  ExitConfig config() const { return {std::get<1>(GetParam())}; }
  LoadedModel model() const { return model_of(backbone(), config()); }
  Tensor inputs(int64_t batch) const { return inputs_of(backbone(), batch); }
};

INSTANTIATE_TEST_SUITE_P(Exits, ExitLaws,
                         testing::Combine(testing::Values("Bert", "ViT", "BertWithModules"),
                                          testing::Values(ExitRule::kDact, ExitRule::kEntropy,
                                                          ExitRule::kConfidence,
                                                          ExitRule::kPatience, ExitRule::kFixed)),
                         [](const auto& named) {
                           return std::get<0>(named.param) + "_" +
                                  to_string(std::get<1>(named.param));
                         });

TEST_P(ExitLaws, ExecutedEqualsRelaxedWhenNothingStops) {
  const LoadedModel model = this->model();
  Pass full = executed(kNever), relaxed = executed(kNever);
  relaxed.form = Form::kRelaxed;
  const Tensor expected = run(model, inputs(6), relaxed);
  EXPECT_LT((run(model, inputs(6), full) - expected).abs().max().item<double>(), kRounding);
  EXPECT_TRUE(full.ledger.halting()->blocks.equal(relaxed.ledger.halting()->blocks));
}

TEST_P(ExitLaws, AnExampleHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const LoadedModel model = this->model();
  const Tensor all = inputs(9);
  Pass together = executed(0.3);
  const Tensor answers = run(model, all, together);
  const int before = at::get_num_threads();
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    for (int64_t i = 0; i < all.size(0); ++i) {
      Pass alone = executed(0.3);
      EXPECT_TRUE(run(model, all.narrow(0, i, 1), alone)[0].equal(answers[i]));
      EXPECT_EQ(alone.ledger.macs()[0].item<double>(), together.ledger.macs()[i].item<double>());
    }
  }
  at::set_num_threads(before);
}

TEST_P(ExitLaws, TheLedgerEqualsWhatTheKernelsCountAndARisingPriceNeverExecutesMore) {
  const LoadedModel model = this->model();
  const Tensor all = inputs(12);
  Tensor last;
  for (const double price : {kNever, -0.2, 0.0, 0.1, 0.3, 0.6, 0.9, 1.0, 2.0}) {
    Pass pass = executed(price);
    pass.context.macs = 0;
    run(model, all, pass);
    EXPECT_EQ(pass.ledger.macs().sum().item<double>(), static_cast<double>(pass.context.macs));
    const Tensor blocks = pass.ledger.halting()->blocks;
    if (last.defined()) {
      EXPECT_TRUE((blocks <= last).all().item<bool>()) << "at price " << price;
    }
    last = blocks;
  }
  EXPECT_TRUE(last.eq(1).all().item<bool>());
}

TEST_P(ExitLaws, SavedAndLoadedItAnswersTheSameBitForBit) {
  const LoadedModel model = this->model();
  const TemporaryFolder folder;
  save_model(folder.path(), model);
  const LoadedModel loaded = load_model(folder.path());
  ASSERT_TRUE(loaded.exits);
  EXPECT_EQ(loaded.exits->to_json(), config().to_json());
  Pass one = executed(0.3), other = executed(0.3);
  EXPECT_TRUE(run(model, inputs(5), one).equal(run(loaded, inputs(5), other)));
}

TEST(ExitsOfText, BeginAsTheModelsOwnHead) {
  for (const char* name : {"bert", "roberta"}) {
    json config = testing_models::small_bert_config();
    config["model_type"] = name;
    if (std::string(name) == "roberta") {
      config["architectures"] = {"RobertaForSequenceClassification"};
    }
    config["pad_token_id"] = 1;
    const LoadedModel dense = build_dense(config, "small", nullptr, {});
    const LoadedModel exits = build_exits(dense, {ExitRule::kFixed}, 3);
    const Tensor inputs = testing_models::tokens_of({9, 3, 14}, 2);
    Pass whole, all = executed(kNever);
    EXPECT_TRUE(at::allclose(run(dense, inputs, whole), run(exits, inputs, all), 1e-5, 1e-6));
  }
}

class Dact : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(PaperBound, Dact, testing::Bool());

TEST_P(Dact, StoppingNeverChangesTheClassOfTheFullRun) {
  int64_t saved = 0;
  for (const char* backbone : {"Bert", "ViT"}) {
    const LoadedModel model = model_of(backbone, {ExitRule::kDact, GetParam()});
    const Tensor all = inputs_of(backbone, 300);
    Pass stopping = executed(0.0), full = executed(kNever);
    const Tensor early = run(model, all, stopping).argmax(1);
    EXPECT_TRUE(early.equal(run(model, all, full).argmax(1)));
    const Tensor blocks = stopping.ledger.halting()->blocks;
    saved += (full.ledger.halting()->blocks - blocks).sum().item<int64_t>();
  }
  EXPECT_GT(saved, 0) << "a law about nothing";
}

TEST(DactBounds, OursIsTheTighter) {
  const auto blocks = [](bool paper_bound) {
    const LoadedModel model = model_of("Bert", {ExitRule::kDact, paper_bound});
    Pass pass = executed(0.0);
    run(model, inputs_of("Bert", 300), pass);
    return pass.ledger.halting()->blocks;
  };
  EXPECT_TRUE((blocks(false) <= blocks(true)).all().item<bool>());
  EXPECT_LT(blocks(false).sum().item<int64_t>(), blocks(true).sum().item<int64_t>());
}

TEST(DactRecursion, IsThePapers) {
  const at::NoGradGuard no_grad;
  const LoadedModel model = model_of("Bert", {ExitRule::kDact});
  Pass pass = executed(0.0);
  pass.form = Form::kRelaxed;
  const Tensor answer = model.model->forward(inputs_of("Bert", 4), pass);
  const Halting& halting = *pass.ledger.halting();
  for (int64_t i = 0; i < 4; ++i) {
    Tensor a = at::zeros({3});
    double p = 1.0;
    for (int64_t n = 0; n < 6; ++n) {
      a = halting.scores[i][n].softmax(0) * p + a * (1.0 - p);
      const double after = halting.remaining[i][n].item<double>();
      EXPECT_LT(after, p);
      p = after;
    }
    EXPECT_TRUE(at::allclose(a.log(), answer[i], 1e-4, 1e-5));
    EXPECT_NEAR(a.sum().item<double>(), 1.0, 1e-5);
  }
}

TEST(DactTraining, ReachesEveryHeadAndHaltingUnit) {
  const LoadedModel model = model_of("Bert", {ExitRule::kDact});
  Pass pass = executed(0.0);
  pass.form = Form::kRelaxed;
  const Tensor logits = model.model->forward(inputs_of("Bert", 6), pass);
  at::cross_entropy_loss(logits, at::tensor({0, 1, 2, 0, 1, 2}, at::kLong)).backward();
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    // What the last block halts changes no answer: nothing comes after it.
    if (!name.starts_with("exit.") || name.starts_with("exit.5.halting")) continue;
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_GT(tensor.grad().abs().max().item<double>(), 0.0) << name;
  }
}

}  // namespace
}  // namespace pace::laws
