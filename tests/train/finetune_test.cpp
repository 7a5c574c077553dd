#include "pace/train/finetune.h"
#include "pace/data/picture_loader.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <gmock/gmock.h>

#include <set>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"
#include "tests/train/toy.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

class FinetuneTest : public ::testing::Test {
 protected:
  FinetuneTest() { at::set_num_threads(1); }

  void train(const FinetuneOptions& options, Loader& loader) {
    Trainer trainer(folder_.path(), {kFinetunePhase}, model_.model->parameters().all());
    finetune(model_, options, loader, trainer);
  }
  double accuracy() {
    const at::NoGradGuard no_grad;
    PictureLoader loader(std::make_shared<toy::Stripes>(90), toy::processor(), {});
    int64_t right = 0;
    while (const auto batch = loader.next()) {
      Pass pass;
      const Tensor hits = model_.model->forward(batch->inputs, pass).argmax(1) == batch->labels;
      right += hits.sum().item<int64_t>();
    }
    return static_cast<double>(right) / 90;
  }

  TemporaryFolder folder_;
  LoadedModel model_ = toy::model();
};

TEST_F(FinetuneTest, LearnsToTellTheClasses) {
  PictureLoader loader = toy::loader(120, 12);
  FinetuneOptions options;
  options.epochs = 12;
  options.learning_rate = 3e-3;
  options.warmup_steps = 5;
  train(options, loader);
  EXPECT_GT(accuracy(), 0.9);
}

TEST_F(FinetuneTest, GroupsByRateAndDecay) {
  FinetuneOptions options;
  options.learning_rate = 1e-4;
  options.head_rate = 1e-2;
  options.weight_decay = 0.3;
  size_t count = 0;
  for (const ParameterGroup& group : finetune_groups(model_.model->parameters(), options)) {
    for (const auto& [name, parameter] : group.parameters) {
      const bool plain = parameter.dim() == 1 || name.find("cls_token") != std::string::npos ||
                         name.find("position_embeddings") != std::string::npos;
      EXPECT_EQ(group.weight_decay, plain ? 0.0 : 0.3) << name;
      EXPECT_EQ(group.learning_rate, name.starts_with("classifier") ? 1e-2 : 1e-4) << name;
      ++count;
    }
  }
  EXPECT_EQ(count, model_.model->parameters().all().size());
  options.head_rate.reset();
  for (const ParameterGroup& group : finetune_groups(model_.model->parameters(), options)) {
    EXPECT_EQ(group.learning_rate, 1e-4);
  }
}

TEST_F(FinetuneTest, FrozenBackboneStays) {
  const NamedTensors before = toy::copy(model_.model->parameters().all());
  PictureLoader loader = toy::loader();
  FinetuneOptions options;
  options.freeze_backbone = true;
  options.head_rate = 1e-2;
  train(options, loader);
  for (const auto& [name, tensor] : before) {
    EXPECT_EQ(model_.model->parameters().at(name).equal(tensor), !name.starts_with("classifier"))
        << name;
  }
}

TEST_F(FinetuneTest, RefusesOtherClasses) {
  class Two : public toy::Stripes {
   public:
    using toy::Stripes::Stripes;
    int64_t label(int64_t index) const override { return index % 2; }
    const std::vector<std::string>& classes() const override { return two_; }

   private:
    std::vector<std::string> two_{"a", "b"};
  };
  PictureLoader loader(std::make_shared<Two>(12), toy::processor(), {});
  EXPECT_THAT(error_of([&] { train({}, loader); }),
              HasSubstr("the data set has 2 classes, but the model has 3"));
}

}  // namespace
}  // namespace pace
