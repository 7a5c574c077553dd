#include "pace/data/picture_loader.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>

#include "tests/data/pictures.h"
#include "tests/error_of.h"

namespace pace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const json kConfig = {{"size", 8}, {"image_mean", 0.5}, {"image_std", 0.25}};

/// Everything that draws at random.
LoaderOptions everything() {
  LoaderOptions options{.batch = 4, .shuffle = true, .seed = 5};
  options.augment = {.crop_padding = 2,
                     .scale_min = 0.3,
                     .flip = true,
                     .mixup = 0.4,
                     .cutmix = 1.0,
                     .smoothing = 0.1};
  return options;
}

std::vector<Batch> rest_of(Loader& loader) {
  std::vector<Batch> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

std::vector<Batch> epoch_of(Loader& loader, int64_t epoch, int64_t first = 0) {
  loader.start(epoch, first);
  return rest_of(loader);
}

bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Batch& x, const Batch& y) {
    return x.indices == y.indices && at::equal(x.inputs, y.inputs) &&
           at::equal(x.labels, y.labels) && at::equal(x.targets, y.targets);
  });
}

std::vector<int64_t> indices_of(const std::vector<Batch>& batches) {
  std::vector<int64_t> all;
  for (const auto& batch : batches)
    all.insert(all.end(), batch.indices.begin(), batch.indices.end());
  return all;
}

/// Counts reads.
class Counted : public PicturesInMemory {
 public:
  using PicturesInMemory::PicturesInMemory;
  Image image(int64_t index) const override {
    ++reads;
    return PicturesInMemory::image(index);
  }
  mutable std::atomic<int> reads = 0;
};

class Warnings : public Reporter {
 public:
  void warn(std::string_view message) override { messages.emplace_back(message); }
  std::vector<std::string> messages;
};

TEST(Loader, GivesEveryPictureOnceInOrder) {
  const auto dataset = std::make_shared<PicturesInMemory>(10);
  const ImageProcessor processor(kConfig, 3);
  PictureLoader loader(dataset, processor, {.batch = 4});
  const auto batches = rest_of(loader);
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_THAT(indices_of(batches), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[2].inputs.sizes(), at::IntArrayRef({2, 3, 8, 8}));
  EXPECT_TRUE(at::equal(batches[1].inputs[2], processor(dataset->image(6))));
  EXPECT_TRUE(at::equal(batches[1].labels, at::tensor({1, 2, 0, 1}, at::kLong)));
  EXPECT_TRUE(at::equal(batches[1].targets.argmax(1), batches[1].labels));
  EXPECT_FALSE(loader.next());
}

TEST(Loader, ShufflesAnewEachEpochAndDropsTheLast) {
  PictureLoader loader(std::make_shared<PicturesInMemory>(50), ImageProcessor(kConfig, 3),
                       {.batch = 8, .shuffle = true, .drop_last = true});
  const auto first = indices_of(epoch_of(loader, 0)), second = indices_of(epoch_of(loader, 1));
  EXPECT_EQ(first.size(), 48u);
  EXPECT_NE(first, second);
  EXPECT_EQ(std::set<int64_t>(first.begin(), first.end()).size(), 48u);
  EXPECT_EQ(indices_of(epoch_of(loader, 0)), first);
}

TEST(Loader, IsTheSameForAnyNumberOfThreadsAndWithoutCache) {
  const auto dataset = std::make_shared<PicturesInMemory>(41);
  const ImageProcessor processor(kConfig, 3);
  for (const double scale_min : {0.3, 1.0}) {
    LoaderOptions options = everything();
    options.augment.scale_min = scale_min;
    PictureLoader one(dataset, processor, options);
    const auto expected = epoch_of(one, 2);
    for (const int threads : {1, 2, 5}) {
      for (const int64_t cache : {0, 5000, 1 << 20}) {
        options.threads = threads;
        options.cache_bytes = cache;
        PictureLoader other(dataset, processor, options);
        EXPECT_FALSE(same(epoch_of(other, 1), expected));
        EXPECT_TRUE(same(epoch_of(other, 2), expected)) << threads << " threads, cache " << cache;
      }
    }
  }
}

TEST(Loader, GoesOnInTheMiddleOfAnEpoch) {
  const auto dataset = std::make_shared<PicturesInMemory>(41);
  PictureLoader loader(dataset, ImageProcessor(kConfig, 3), everything());
  auto whole = epoch_of(loader, 3);
  PictureLoader resumed(dataset, ImageProcessor(kConfig, 3), everything());
  resumed.start(9);
  resumed.next();  // left in the middle
  const auto rest = epoch_of(resumed, 3, 6);
  whole.erase(whole.begin(), whole.begin() + 6);
  EXPECT_TRUE(same(rest, whole));
  EXPECT_TRUE(epoch_of(resumed, 3, 11).empty());
  EXPECT_THAT(error_of([&] { resumed.start(0, 12); }), HasSubstr("batch 12"));
}

TEST(Loader, ReadsPicturesOnceWhileTheyFitInMemory) {
  const auto dataset = std::make_shared<Counted>(20);
  const int64_t bytes = 8 * 8 * 3;
  PictureLoader loader(dataset, ImageProcessor(kConfig, 3),
                       {.batch = 4, .cache_bytes = 15 * bytes});
  for (int epoch = 0; epoch < 3; ++epoch) epoch_of(loader, epoch);
  EXPECT_EQ(dataset->reads, 20 + 5 + 5);
}

TEST(Loader, LeavesOutBrokenPicturesAndSaysSoOnce) {
  Warnings warnings;
  const auto dataset = std::make_shared<PicturesInMemory>(12, std::set<int64_t>{1, 4, 5, 6, 7});
  LoaderOptions options{.batch = 4, .skip_broken = true};
  options.augment.mixup = 1.0;
  PictureLoader loader(dataset, ImageProcessor(kConfig, 3), options, warnings);
  for (int epoch = 0; epoch < 2; ++epoch) {
    const auto batches = epoch_of(loader, epoch);
    ASSERT_EQ(batches.size(), 2u);  // nothing is left of the second
    EXPECT_THAT(batches[0].indices, ElementsAre(0, 2, 3));
    EXPECT_EQ(batches[0].inputs.size(0), 3);
    EXPECT_EQ(batches[0].targets.size(0), 3);
  }
  EXPECT_EQ(loader.broken(), 5);
  ASSERT_EQ(warnings.messages.size(), 5u);
  EXPECT_EQ(warnings.messages[0], "left out: memory #1 is broken");
}

TEST(Loader, NamesAllBrokenPicturesUnlessToldToSkip) {
  PictureLoader loader(std::make_shared<PicturesInMemory>(30, std::set<int64_t>{2, 17}),
                       ImageProcessor(kConfig, 3), {.batch = 4});
  const std::string message = error_of([&] { rest_of(loader); });
  EXPECT_THAT(message, HasSubstr("2 of 30"));
  EXPECT_THAT(message, HasSubstr("memory #17"));
  EXPECT_FALSE(loader.next());
}

TEST(Loader, RefusesWhenNothingCanBeRead) {
  PictureLoader loader(std::make_shared<PicturesInMemory>(3, std::set<int64_t>{0, 1, 2}),
                       ImageProcessor(kConfig, 3), {.batch = 2, .skip_broken = true});
  EXPECT_THAT(error_of([&] { rest_of(loader); }), HasSubstr("all 3 pictures are broken"));
}

TEST(Loader, PassesOnWhatGoesWrongInItsThreads) {
  json config = kConfig;
  config["do_resize"] = false;
  PictureLoader loader(std::make_shared<PicturesInMemory>(9), ImageProcessor(config, 3),
                       {.batch = 2});
  EXPECT_THAT(error_of([&] { rest_of(loader); }), HasSubstr("memory #0: the picture has 10x12"));
}

TEST(Loader, CanBeLeftAtAnyTime) {
  for (int taken = 0; taken < 4; ++taken) {
    PictureLoader loader(std::make_shared<PicturesInMemory>(40), ImageProcessor(kConfig, 3),
                         everything());
    for (int i = 0; i < taken; ++i) loader.next();
  }
}

TEST(Loader, RefusesBadOptions) {
  const auto refusal = [](const LoaderOptions& options) {
    return error_of([&] {
      PictureLoader(std::make_shared<PicturesInMemory>(3), ImageProcessor(kConfig, 3), options);
    });
  };
  EXPECT_THAT(refusal({.batch = 0}), HasSubstr("batch is 0"));
  EXPECT_THAT(refusal({.threads = 0}), HasSubstr("0 loader threads"));
  EXPECT_THAT(refusal({.batch = 4, .drop_last = true}), HasSubstr("do not fill one batch"));
  EXPECT_THAT(refusal({.augment = {.smoothing = 1.0}}), HasSubstr("smoothing is 1"));
  EXPECT_THAT(refusal({.augment = {.scale_min = 0.0}}), HasSubstr("crops is 0"));
  EXPECT_THAT(refusal({.augment = {.mixup = -1.0}}), HasSubstr("mixup's alpha is -1"));
  EXPECT_THAT(refusal({.augment = {.cutmix = -1.0}}), HasSubstr("cutmix's alpha is -1"));
  EXPECT_THAT(refusal({.augment = {.crop_padding = -1}}), HasSubstr("padding"));
}

}  // namespace
}  // namespace pace
