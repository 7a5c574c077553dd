// The laws of docs/architecture.md, over every method and backbone.

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <thread>

#include "pace/eval/calibrate.h"
#include "pace/kernels/isa.h"
#include "pace/train/distill.h"
#include "tests/laws/methods.h"
#include "tests/laws/pictures.h"

namespace pace::laws {
namespace {

/// The two forms, and instruction sets, sum in another order.
constexpr double kRounding = 2e-5;

class Laws : public testing::TestWithParam<std::tuple<Method, Backbone>> {
 protected:
  const Method& method() const { return std::get<0>(GetParam()); }
  const Backbone& backbone() const { return std::get<1>(GetParam()); }

  /// The adaptive model with every parameter disturbed, so that choices differ from token to token.
  LoadedModel disturbed() const {
    LoadedModel model = method().untouched(backbone().dense(), *backbone().data(40, 20));
    const at::NoGradGuard no_grad;
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(11);
    for (const auto& [name, tensor] : model.model->parameters().all()) {
      const double scale = name.find(".gate.") == std::string::npos ? 0.02 : 0.5;
      tensor.add_(at::randn(tensor.sizes(), generator) * scale);
    }
    return model;
  }

  static Pass pass_with(Form form, double price) {
    Pass pass;
    pass.form = form;
    pass.price = price;
    pass.budget = 0.5;
    return pass;
  }
};

Tensor run(const LoadedModel& model, const Tensor& inputs, Pass& pass) {
  const at::NoGradGuard no_grad;
  return model.model->forward(inputs, pass);
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

const std::vector<double> kPrices{-2.0, -0.3, 0.0, 0.2, 0.6, 2.0};

TEST_P(Laws, ExecutedEqualsRelaxedWhenDecisionsAreHard) {
  const LoadedModel model = disturbed();
  const Tensor inputs = backbone().inputs(6);
  for (double price : kPrices) {
    Pass relaxed = pass_with(Form::kRelaxed, price), executed = pass_with(Form::kExecuted, price);
    const Tensor expected = run(model, inputs, relaxed), actual = run(model, inputs, executed);
    EXPECT_LT(gap(expected, actual), kRounding) << "at price " << price;
    ASSERT_EQ(relaxed.ledger.decisions().size(), executed.ledger.decisions().size());
    for (size_t i = 0; i < relaxed.ledger.decisions().size(); ++i) {
      EXPECT_TRUE(
          relaxed.ledger.decisions()[i].choice.equal(executed.ledger.decisions()[i].choice));
    }
  }
}

TEST_P(Laws, AnExampleHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const LoadedModel model = disturbed();
  const Tensor inputs = backbone().inputs(7);
  const int before = at::get_num_threads();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const auto executed = [&] {
      Pass pass = pass_with(Form::kExecuted, 0.1);
      pass.context.type = type;
      return pass;
    };
    Pass together = executed();
    const Tensor all = run(model, inputs, together);
    for (const int threads : {1, 3}) {
      at::set_num_threads(threads);
      Pass again = executed();
      EXPECT_TRUE(run(model, inputs, again).equal(all)) << threads << " threads";
      for (int64_t i = 0; i < inputs.size(0); ++i) {
        Pass alone = executed();
        const Tensor own = run(model, inputs.narrow(0, i, 1), alone)[0];
        EXPECT_TRUE(own.equal(all[i].narrow(0, 0, own.size(0)))) << "example " << i;
        EXPECT_FALSE(all[i].slice(0, own.size(0)).any().item<bool>()) << "zeros behind its end";
        EXPECT_EQ(alone.ledger.macs()[0].item<double>(), together.ledger.macs()[i].item<double>());
      }
    }
    at::set_num_threads(before);
  }
}

TEST_P(Laws, EveryInstructionSetGivesTheSameWithinRounding) {
  const LoadedModel model = disturbed();
  const Tensor inputs = backbone().inputs(3);
  Pass best = pass_with(Form::kExecuted, 0.1);
  const Tensor expected = run(model, inputs, best);
  for (const kernels::Isa isa : kernels::available_isas()) {
    Pass pass = pass_with(Form::kExecuted, 0.1);
    pass.context.isa = isa;
    EXPECT_LT(gap(run(model, inputs, pass), expected), kRounding) << to_string(isa);
  }
  // Choices may differ in bfloat16, so there only the dense model must agree.
  const LoadedModel dense = backbone().dense();
  Pass exact;
  const Tensor answer = run(dense, inputs, exact);
  for (const kernels::Isa isa : kernels::available_isas()) {
    Pass pass;
    pass.context = {.type = at::kBFloat16, .isa = isa};
    const double scale = answer.abs().max().item<double>();
    EXPECT_LT(gap(run(dense, inputs, pass), answer), 0.05 * scale) << to_string(isa);
  }
}

TEST_P(Laws, SeveralThreadsMayAskOneModelAtATime) {
  const LoadedModel model = disturbed();
  const Tensor inputs = backbone().inputs(2);
  Pass pass = pass_with(Form::kExecuted, 0.1);
  const Tensor expected = run(disturbed(), inputs, pass);
  std::vector<Tensor> answers(4);
  std::vector<std::thread> threads;
  for (Tensor& answer : answers) {
    threads.emplace_back([&] {
      Pass own = pass_with(Form::kExecuted, 0.1);
      answer = run(model, inputs, own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& answer : answers) EXPECT_TRUE(answer.equal(expected));
}

TEST_P(Laws, FullBudgetWithUntouchedWeightsIsTheDenseModel) {
  const LoadedModel dense = backbone().dense();
  const LoadedModel model = method().untouched(dense, *backbone().data(40, 20));
  const Tensor inputs = backbone().inputs(4);
  Pass full = pass_with(Form::kExecuted, -1e6), plain;
  EXPECT_LT(gap(run(model, inputs, full), run(dense, inputs, plain)), 1e-4);
}

TEST_P(Laws, TheLedgerEqualsWhatTheKernelsCount) {
  const LoadedModel model = disturbed();
  for (double price : kPrices) {
    Pass pass = pass_with(Form::kExecuted, price);
    run(model, backbone().inputs(5), pass);
    EXPECT_EQ(pass.ledger.macs().sum().item<double>(), static_cast<double>(pass.context.macs));
  }
  Pass dense;
  run(backbone().dense(), backbone().inputs(5), dense);
  EXPECT_EQ(dense.ledger.macs().sum().item<double>(), static_cast<double>(dense.context.macs));
}

TEST_P(Laws, ASmallerBudgetNeverExecutesMore) {
  LoadedModel model = disturbed();
  const LoadedModel dense = backbone().dense();
  const std::unique_ptr<Loader> held_out = backbone().data(60, 30);
  model.calibration = calibrate(model, dense, *held_out, quiet());
  double last = 0.0;
  for (const CalibrationPoint& point : model.calibration.curve) {
    const Score measured = score(model, *held_out, point.budget, point.price);
    EXPECT_GE(measured.macs_fraction, last - 1e-9);
    EXPECT_NEAR(measured.macs_fraction, point.budget, method().budget_tolerance);
    last = measured.macs_fraction;
  }
}

TEST_P(Laws, TheTaskLossReachesWhatDecides) {
  const LoadedModel model = disturbed();
  Pass pass = pass_with(Form::kRelaxed, 0.0);
  pass.budget = 0.7;  // at 0.5 the gates are told 0
  pass.noise = 1.0;
  pass.generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const Tensor logits = model.model->forward(backbone().inputs(6), pass);
  const Tensor answers = logits.flatten(0, -2);  // of examples, or of their frames
  at::cross_entropy_loss(answers, at::arange(answers.size(0)) % 3).backward();
  for (const auto& [name, tensor] : model.model->parameters().all()) {
    if (name.find(".gate.") == std::string::npos) continue;
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_GT(tensor.grad().abs().max().item<double>(), 0.0) << name;
  }
}

TEST_P(Laws, SavedAndLoadedItAnswersTheSameBitForBit) {
  LoadedModel model = disturbed();
  model.calibration.curve = {{0.3, 0.4, 0.31, 0.5}, {1.0, -0.7, 0.99, 0.8}};
  const TemporaryFolder folder;
  save_model(folder.path(), model);
  const LoadedModel again = load_model(folder.path());
  const Tensor inputs = backbone().inputs(4);
  for (double budget : {0.3, 0.6, 1.0}) {
    Pass before = model.pass_at(budget), after = again.pass_at(budget);
    EXPECT_TRUE(run(model, inputs, before).equal(run(again, inputs, after)));
  }
}

std::string name_of(const testing::TestParamInfo<std::tuple<Method, Backbone>>& info) {
  return std::get<0>(info.param).name + std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(Methods, Laws,
                         testing::Combine(testing::ValuesIn(methods()),
                                          testing::ValuesIn(backbones())),
                         name_of);

}  // namespace
}  // namespace pace::laws
