#include "pace/data/text_loader.h"

#include <gmock/gmock.h>

#include "pace/base/files.h"
#include "pace/data/packed_text.h"
#include "tests/data/words.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

TEST(PadTokens, EndsShorterTextsWithMinusOne) {
  const at::Tensor tokens = pad_tokens({{{5, 6, 7}, {0, 0, 1}}, {{8}, {0}}});
  EXPECT_TRUE(tokens.equal(
      at::tensor({5, 0, 6, 0, 7, 1, 8, 0, -1, -1, -1, -1}, at::kLong).view({2, 3, 2})));
}

TEST(TextLoader, TokenisesTheTextsOfABatch) {
  words::Texts texts;
  TextLoader loader(texts.dataset(), texts.tokenizer(), 16, {.batch = 3});
  const std::optional<Batch> batch = loader.next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->inputs.size(0), 3);
  for (int64_t i = 0; i < 3; ++i) {
    const Encoding expected = encode(*texts.tokenizer(), texts.dataset()->text(i), 16);
    const at::Tensor own = batch->inputs[i].slice(0, 0, std::ssize(expected.ids));
    EXPECT_TRUE(own.select(1, 0).equal(at::tensor(expected.ids, at::kLong)));
    EXPECT_EQ(batch->labels[i].item<int64_t>(), texts.dataset()->label(i));
  }
}

TEST(TextLoader, CutsLongTexts) {
  words::Texts texts;
  TextLoader loader(texts.dataset(), texts.tokenizer(), 3, {.batch = 4});
  EXPECT_EQ(loader.next()->inputs.size(1), 3);
}

TEST(TextLoader, GoesOnInTheMiddleOfAnEpoch) {
  words::Texts texts;
  const LoaderOptions options{.batch = 2, .shuffle = true, .seed = 4};
  TextLoader whole(texts.dataset(), texts.tokenizer(), 16, options);
  TextLoader resumed(texts.dataset(), texts.tokenizer(), 16, options);
  whole.start(1);
  whole.next();
  resumed.start(1, 1);
  while (std::optional<Batch> batch = whole.next()) {
    const std::optional<Batch> same = resumed.next();
    ASSERT_TRUE(same);
    EXPECT_EQ(same->indices, batch->indices);
    EXPECT_TRUE(same->inputs.equal(batch->inputs));
  }
  EXPECT_FALSE(resumed.next());
  EXPECT_NE(error_of([&] { whole.start(0, 99); }), "(no error)");
}

TEST(TextLoader, GivesTheNextTokensOfTextsWithoutClasses) {
  words::Texts texts;
  const TemporaryFolder folder;
  std::string text(300, 'x');
  text += "\na good film\n";
  write_text(folder / "a.txt", text);
  const auto documents = open_dataset("text:" + (folder / "a.txt").string());
  TextLoader loader(pack(documents, *texts.tokenizer(), {4, 4}), texts.tokenizer(), 16,
                    {.batch = 2});
  const Batch batch = loader.next().value();
  EXPECT_FALSE(batch.targets.defined());
  const at::Tensor tokens = batch.inputs.select(2, 0);
  ASSERT_EQ(batch.labels.sizes(), tokens.sizes());
  EXPECT_TRUE(batch.labels[0].slice(0, 0, -1).equal(tokens[0].slice(0, 1)));
  EXPECT_TRUE(batch.labels[0][-1].equal(tokens[1][0])) << "it goes on with the next sequence";
  TextLoader unpacked(documents, texts.tokenizer(), 16, {.batch = 1});
  EXPECT_THAT(error_of([&] { unpacked.next(); }), HasSubstr("is no sequence of tokens"));
}

}  // namespace
}  // namespace pace
