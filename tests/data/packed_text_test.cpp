#include "pace/data/packed_text.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "pace/base/files.h"
#include "pace/data/text_dataset.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kEnd = 3;

/// A token for each of a, b and c, and one that ends texts.
Tokenizer letters() {
  const json description = {{"model",
                             {{"type", "BPE"},
                              {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"<end>", kEnd}}},
                              {"merges", json::array()}}}};
  return {description, "letters"};
}

class PackedTexts : public ::testing::Test {
 protected:
  std::shared_ptr<const Dataset> documents(const std::string& lines) {
    write_text(folder_ / "a.jsonl", lines);
    return open_jsonl(folder_ / "a.jsonl");
  }
  std::shared_ptr<const Dataset> packed(const Packing& packing) {
    return pack(documents("{\"text\": \"abc\"}\n{\"text\": \"cb\"}\n"), letters(), packing);
  }

  TemporaryFolder folder_;
};

TEST_F(PackedTexts, GoesOnFromDocumentToDocument) {
  const auto data = packed({4, 4, kEnd});  // a b c . c b .
  ASSERT_EQ(data->size(), 2);
  EXPECT_THAT(data->sequence(0).tokens, ElementsAre(0, 1, 2, kEnd));
  EXPECT_THAT(data->sequence(0).labels, ElementsAre(1, 2, kEnd, 2));
  EXPECT_THAT(data->sequence(1).tokens, ElementsAre(2, 1));
  EXPECT_THAT(data->sequence(1).labels, ElementsAre(1, kEnd));
  EXPECT_THAT(data->name(1), HasSubstr("line 2, from token 1"));
  EXPECT_EQ(packed({4, 4})->sequence(0).labels.back(), 1) << "without a separator: abccb";
}

TEST_F(PackedTexts, AsksForEveryTokenOnceWhateverTheStride) {
  for (int64_t length = 1; length <= 8; ++length) {
    for (int64_t stride = 1; stride <= length; ++stride) {
      const auto data = packed({length, stride, kEnd});
      std::vector<int64_t> asked;
      for (int64_t i = 0; i < data->size(); ++i) {
        const TokenSequence own = data->sequence(i);
        ASSERT_EQ(own.tokens.size(), own.labels.size());
        std::copy_if(own.labels.begin(), own.labels.end(), std::back_inserter(asked),
                     [](int64_t label) { return label >= 0; });
      }
      EXPECT_THAT(asked, ElementsAre(1, 2, kEnd, 2, 1, kEnd)) << length << ", " << stride;
    }
  }
}

TEST_F(PackedTexts, RefusesWhatCannotBeCut) {
  EXPECT_THAT(error_of([&] { packed({4, 5}); }), HasSubstr("4 tokens that begin 5 apart"));
  EXPECT_THAT(error_of([&] { packed({0, 0}); }), HasSubstr("stride is from 1"));
  EXPECT_THAT(error_of([&] {
                pack(documents("{\"text\": \"a\"}"), letters(), {4, 4});
              }),
              ::testing::AllOf(HasSubstr("a.jsonl, line 1"), HasSubstr("1 token(s)")));
}

}  // namespace
}  // namespace pace
