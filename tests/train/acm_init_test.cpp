#include "pace/train/acm_init.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "pace/train/acm_phases.h"
#include "tests/train/toy.h"

namespace pace {
namespace {

/// The toy model's maps, each with a module that began from it.
class OrderedStart : public testing::Test {
 protected:
  OrderedStart() : teacher_(dense_, config_) {
    PictureLoader loader = toy::loader(40, 40);
    TensorMap tensors = initial_weights(teacher_, config_, InitKind::kOrdered, loader, 40, 1);
    const WeightSource rest = weights_of(*dense_.model);
    student_ = build_adaptive(dense_.model->config(), config_,
                              [&](const std::string& name) -> std::optional<Tensor> {
                                const auto found = tensors.find(name);
                                return found == tensors.end() ? rest(name) : found->second;
                              });
  }

  /// Calls `see` with each module and its map's input and output over the pictures measured.
  void for_each_module(
      const std::function<void(Acm&, const Tensor& in, const Tensor& out)>& see) const {
    const at::NoGradGuard no_grad;
    PictureLoader loader = toy::loader(40, 40);
    loader.start(0);
    size_t index = 0;
    teacher_.run(loader.next()->inputs, [&](const MapSpec&, const Tensor& in, const Tensor& out) {
      see(*student_.modules[index++], in, out);
    });
  }

  const AcmConfig config_;
  const LoadedModel dense_ = toy::model();
  const Teacher teacher_;
  LoadedModel student_;
};

TEST_F(OrderedStart, EveryLearnerBringsTheDenseMapNearer) {
  for_each_module([](Acm& acm, const Tensor& in, const Tensor& out) {
    const Tensor error = choice_errors(acm, in, out).sum(0);
    for (int64_t k = 1; k <= acm.shape().learners; ++k) {
      EXPECT_LT(error[k].item<float>(), error[k - 1].item<float>()) << acm.site() << " " << k;
    }
    EXPECT_LT(error[-1].item<float>(), 1e-4 * error[0].item<float>()) << acm.site();
  });
}

TEST_F(OrderedStart, HiddenUnitsAreCentred) {
  for_each_module([](Acm& acm, const Tensor& in, const Tensor&) {
    const Tensor hidden =
        kernels::activate(at::linear(in, acm.in_weight(), acm.in_bias()), acm.shape().activation) -
        acm.centre();
    const Tensor mean = hidden.mean(0).abs(), deviation = hidden.std(0);
    EXPECT_LT((mean - 0.02 * deviation).max().item<float>(), 1e-4) << acm.site();
  });
}

}  // namespace
}  // namespace pace
