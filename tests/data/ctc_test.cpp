#include "pace/data/ctc.h"

#include <gmock/gmock.h>

#include "pace/io/json.h"
#include "tests/error_of.h"
#include "tests/reference.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CtcParity : public ::testing::TestWithParam<const char*> {
 protected:
  static fs::path folder() { return reference("wav2vec2") / "tokenizer"; }
  static json cases() {
    return parse_json(read_text(folder() / "cases.json"), "cases.json").at(GetParam());
  }
  static CtcVocabulary vocabulary() { return CtcVocabulary::open(folder() / GetParam(), 15); }
};
INSTANTIATE_TEST_SUITE_P(Tokenizers, CtcParity, ::testing::Values("upper", "lower"));

TEST_P(CtcParity, DecodesAsTransformersDoes) {
  const CtcVocabulary read = vocabulary();
  const json expected = cases();
  for (size_t i = 0; i < expected.at("frames").size(); ++i) {
    const auto frames = expected.at("frames")[i].get<std::vector<int64_t>>();
    EXPECT_EQ(read.decode(frames), expected.at("texts")[i].get<std::string>());
    const at::Tensor logits = at::one_hot(at::tensor(frames, at::kLong), 15).to(at::kFloat);
    EXPECT_EQ(read.decode(logits), read.decode(frames));
  }
}

TEST_P(CtcParity, EncodesAsTransformersDoes) {
  const CtcVocabulary read = vocabulary();
  const json expected = cases();
  for (const auto& [text, ids] : expected.at("encoded").items()) {
    EXPECT_EQ(read.encode(text), ids.get<std::vector<int64_t>>()) << text;
  }
}

/// A folder with this vocab.json and, unless it is empty, this tokenizer_config.json.
class CtcFolder {
 public:
  explicit CtcFolder(const std::string& vocabulary, const std::string& config = "") {
    write_text(folder_ / "vocab.json", vocabulary);
    if (!config.empty()) write_text(folder_ / "tokenizer_config.json", config);
  }
  CtcVocabulary open(int64_t size) const { return CtcVocabulary::open(folder_.path(), size); }
  std::string error(int64_t size) const {
    return error_of([&] { open(size); });
  }

 private:
  TemporaryFolder folder_;
};

TEST(CtcVocabulary, TakesTheCaseAndTheNamesOfItsTokens) {
  const CtcFolder folder(R"({"a": 0, "B": 1, "_": 2, "[PAD]": 3})",
                         R"({"pad_token": {"content": "[PAD]"}, "word_delimiter_token": "_"})");
  const CtcVocabulary read = folder.open(5);
  EXPECT_EQ(read.size(), 5);
  EXPECT_EQ(read.blank(), 3);
  EXPECT_EQ(read.encode("Ab a"), (std::vector<int64_t>{0, 1, 2, 0}));
  EXPECT_EQ(read.decode(std::vector<int64_t>{2, 0, 0, 3, 0, 2, 2, 1, 2}), "aa B");
  EXPECT_EQ(read.decode(std::vector<int64_t>{4, 4, 1}), "<unk>B") << "an id without a token";
  EXPECT_EQ(read.decode(std::vector<int64_t>{}), "");
  EXPECT_TRUE(read.encode("").empty());
  EXPECT_THAT(error_of([&] { read.encode("cabbage"); }), HasSubstr("no tokens for 'c', 'e', 'g'"));
  EXPECT_THAT(error_of([&] { read.decode(std::vector<int64_t>{5}); }),
              HasSubstr("no token 5; there are 0..4"));
}

TEST(CtcVocabulary, NamesWhatIsBroken) {
  const TemporaryFolder empty;
  EXPECT_THAT(error_of([&] { CtcVocabulary::open(empty.path(), 3); }), HasSubstr("no vocab.json"));
  EXPECT_THAT(CtcFolder("{").error(3), HasSubstr("vocab.json"));
  EXPECT_THAT(CtcFolder("[1]").error(3), HasSubstr("not an object"));
  EXPECT_THAT(CtcFolder(R"({"<pad>": 0, "a": "1"})").error(3),
              AllOf(HasSubstr("vocab.json"), HasSubstr("token 'a'")));
  EXPECT_THAT(CtcFolder(R"({"<pad>": 0, "a": 1, "b": 1})").error(3),
              HasSubstr("tokens 'a' and 'b' have the same id 1"));
  EXPECT_THAT(CtcFolder(R"({"<pad>": 0, "a": 3})").error(3),
              HasSubstr("token 'a' has id 3; the model knows 0..2"));
  EXPECT_THAT(CtcFolder(R"({"<pad>": 0, "a": -1})").error(3), HasSubstr("has id -1"));
  EXPECT_THAT(CtcFolder(R"({"a": 0})").error(3), HasSubstr("no token '<pad>'"));
  EXPECT_THAT(CtcFolder(R"({"<pad>": 0})", R"({"pad_token": 7})").error(3),
              AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("pad_token")));
}

TEST(Edits, CountsLettersAndWords) {
  const auto count = [](const char* said, const char* heard) {
    const Edits found = edits(said, heard);
    return std::vector<int64_t>{found.characters, found.reference_characters, found.words,
                                found.reference_words};
  };
  EXPECT_EQ(count("kitten", "sitting"), (std::vector<int64_t>{3, 6, 1, 1}));
  EXPECT_EQ(count("the cat sat", "the cat sat"), (std::vector<int64_t>{0, 11, 0, 3}));
  EXPECT_EQ(count("the cat sat", "a the  cat"), (std::vector<int64_t>{6, 11, 2, 3}));
  EXPECT_EQ(count("Tür", "Tor"), (std::vector<int64_t>{1, 3, 1, 1})) << "code points";
  EXPECT_EQ(count("", "ab"), (std::vector<int64_t>{2, 0, 1, 0}));
  EXPECT_EQ(count("ab", ""), (std::vector<int64_t>{2, 2, 1, 1}));
}

TEST(Edits, AddUpOverATestSet) {
  Edits all = edits("one two three four", "one two tree four");
  all += edits("ab", "abcd");
  EXPECT_DOUBLE_EQ(all.character_error_rate(), 3.0 / 20);
  EXPECT_DOUBLE_EQ(all.word_error_rate(), 2.0 / 5);
  EXPECT_EQ(Edits().word_error_rate(), 0.0);
}

}  // namespace
}  // namespace pace
