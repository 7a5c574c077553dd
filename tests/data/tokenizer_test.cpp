#include "pace/data/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "pace/data/tokenizer_unicode.h"
#include "pace/io/safetensors.h"
#include "tests/error_of.h"
#include "tests/reference.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kNoBound = int64_t{1} << 40;

Tokenizer open_reference(const std::string& name) {
  return Tokenizer::open(reference("tokenizer") / name);
}

/// Values of many lists, end to end, with the place where each ends.
template <class Value>
class Lists {
 public:
  Lists(const SafetensorsFile& file, const std::string& values, const std::string& ends)
      : values_(file.tensor(values)), ends_(file.tensor(ends)) {}

  int64_t size() const { return ends_.numel(); }
  const Value* begin(int64_t i) const {
    return values_.data_ptr<Value>() + (i == 0 ? 0 : ends_.data_ptr<int64_t>()[i - 1]);
  }
  const Value* end(int64_t i) const {
    return values_.data_ptr<Value>() + ends_.data_ptr<int64_t>()[i];
  }

 private:
  at::Tensor values_, ends_;
};

class Texts {
 public:
  explicit Texts(const SafetensorsFile& file) : bytes_(file, "texts", "texts.ends") {}
  int64_t size() const { return bytes_.size(); }
  std::string_view operator[](int64_t i) const {
    return {reinterpret_cast<const char*>(bytes_.begin(i)),
            reinterpret_cast<const char*>(bytes_.end(i))};
  }

 private:
  Lists<uint8_t> bytes_;
};

/// What the `tokenizers` package gave.
class Expected {
 public:
  Expected(const SafetensorsFile& file, const std::string& name)
      : ids_(file, name + ".ids", name + ".ends"), types_(file, name + ".types", name + ".ends") {}
  int64_t size() const { return ids_.size(); }

  bool equals(int64_t i, const Encoding& found) const {
    return std::equal(ids_.begin(i), ids_.end(i), found.ids.begin(), found.ids.end()) &&
           std::equal(types_.begin(i), types_.end(i), found.types.begin(), found.types.end());
  }
  std::string message(int64_t i, const Encoding& found, std::string_view text) const {
    const std::vector<int64_t> ids(ids_.begin(i), ids_.end(i));
    return fmt::format("text {}: '{}'\nexpected {}\nfound    {}", i, text.substr(0, 200),
                       json(ids).dump().substr(0, 500), json(found.ids).dump().substr(0, 500));
  }

 private:
  Lists<int32_t> ids_, types_;
};

/// Encodes all texts of a file of fixtures and compares; gives up after a few.
void compare(const std::string& file_name, const std::string& folder, const std::string& expected) {
  const SafetensorsFile file(reference("tokenizer") / (file_name + ".safetensors"));
  const Tokenizer tokenizer = open_reference(folder);
  const Texts texts(file);
  const Expected encodings(file, expected);
  ASSERT_EQ(texts.size(), encodings.size());
  int different = 0;
  for (int64_t i = 0; i < texts.size() && different < 5; ++i) {
    const Encoding found = tokenizer.encode(texts[i], kNoBound);
    if (encodings.equals(i, found)) continue;
    ++different;
    ADD_FAILURE() << encodings.message(i, found, texts[i]);
  }
}

TEST(Tokenizer, GivesTheIdsOfRealText) {
  const SafetensorsFile file(reference("tokenizer") / "real.safetensors");
  EXPECT_GE(Texts(file).size(), 20000);
  compare("real", "uncased", "uncased");
  compare("real", "roberta", "roberta");
}

TEST(Tokenizer, GivesTheSameIdsFromTheOlderFiles) {
  compare("real", "uncased_files", "uncased");
  compare("real", "roberta_files", "roberta");
}

class OddText : public testing::TestWithParam<const char*> {};

TEST_P(OddText, HasTheSameIds) { compare("odd", GetParam(), GetParam()); }

INSTANTIATE_TEST_SUITE_P(Tokenizer, OddText,
                         testing::Values("uncased", "cased", "plain", "roberta", "composed",
                                         "stripped", "fused", "unsplit", "uncased_files",
                                         "accents_files", "roberta_files", "gpt2_files", "llama",
                                         "llama_files", "edges", "decomposed", "composed_edges",
                                         "lowercase", "marks", "words", "minilm"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Tokenizer, CutsTextsAndPairsWhereTheReferenceDoes) {
  const SafetensorsFile file(reference("tokenizer") / "pairs.safetensors");
  const Texts texts(file);
  for (const std::string name :
       {"uncased", "roberta", "composed", "stripped", "gpt2_files", "accents_files"}) {
    const Tokenizer tokenizer = open_reference(name);
    const Expected encodings(file, name);
    const at::Tensor cases = file.tensor(name + ".cases");
    for (int64_t i = 0; i < encodings.size(); ++i) {
      const int64_t* row = cases.data_ptr<int64_t>() + 3 * i;
      const Encoding found = row[1] < 0 ? tokenizer.encode(texts[row[0]], row[2])
                                        : tokenizer.encode(texts[row[0]], texts[row[1]], row[2]);
      EXPECT_LE(static_cast<int64_t>(found.ids.size()), row[2]);
      ASSERT_TRUE(encodings.equals(i, found))
          << name << ", at most " << row[2] << ": " << encodings.message(i, found, texts[row[0]]);
    }
  }
}

/// A text of 256 code points, each in the frame.
std::string block_text(char32_t first, const std::string& frame) {
  std::string text;
  for (char32_t point = first; point < first + 256; ++point) {
    for (size_t i = 0; i < frame.size(); ++i) {
      if (frame.compare(i, 2, "{}") == 0) {
        unicode::append(point, text);
        ++i;
      } else {
        text.push_back(frame[i]);
      }
    }
  }
  return text;
}

TEST(Tokenizer, SeesCharactersAsTheReferenceDoes) {
  const SafetensorsFile file(reference("tokenizer") / "code_points.safetensors");
  const at::Tensor blocks = file.tensor("blocks");
  for (const auto& [name, frame] : file.header().metadata) {
    const Tokenizer tokenizer = open_reference(name);
    const at::Tensor expected = file.tensor(name);
    for (int64_t i = 0; i < blocks.numel(); ++i) {
      const auto first = static_cast<char32_t>(blocks.data_ptr<int64_t>()[i]);
      uint64_t sum = 0, power = 1;
      for (const int64_t id : tokenizer.encode(block_text(first, frame), kNoBound).ids) {
        power *= 0x9E3779B97F4A7C15;
        sum += static_cast<uint64_t>(id) * power;
      }
      EXPECT_EQ(sum, static_cast<uint64_t>(expected.data_ptr<int64_t>()[i]))
          << name << ", from U+" << std::hex << static_cast<uint32_t>(first);
    }
  }
}

TEST(Tokenizer, KnowsWhatIsUtf8) {
  const SafetensorsFile file(reference("tokenizer") / "odd.safetensors");
  const Texts texts(file);
  const at::Tensor broken = file.tensor("broken");
  EXPECT_GT(broken.sum().item<int64_t>(), 60);
  for (int64_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(is_utf8(texts[i]), broken[i].item<int64_t>() == 0) << i << ": " << texts[i];
  }
}

TEST(Tokenizer, MayBeUsedFromSeveralThreads) {
  const SafetensorsFile file(reference("tokenizer") / "odd.safetensors");
  const Texts texts(file);
  for (const char* name : {"uncased", "roberta", "composed"}) {
    const Tokenizer tokenizer = open_reference(name);
    const Expected encodings(file, name);
    std::atomic<int> different = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, own = tokenizer, t] {
        for (int64_t i = t; i < texts.size(); i += 3) {
          const Encoding found = (t % 2 ? own : tokenizer).encode(texts[i], kNoBound);
          if (!encodings.equals(i, found)) ++different;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(different, 0);
  }
}

/// A small tokenizer.json: WordPiece, with what transformers writes for BERT.
json small_wordpiece() {
  return json::parse(R"({
    "version": "1.0", "truncation": {"max_length": 1}, "padding": {"length": 99},
    "added_tokens": [
      {"id": 1, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false,
       "normalized": false, "special": true}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                   "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
      "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
      "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                         "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
    "decoder": {"type": "WordPiece"},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 10,
              "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "un": 3, "##able": 4, "##a": 5,
                        "able": 6, "!": 9}}})");
}

json small_bpe() {
  return json::parse(R"({
    "added_tokens": [], "normalizer": null, "post_processor": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
    "model": {"dropout": null, "unk_token": null, "continuing_subword_prefix": "",
              "end_of_word_suffix": "", "fuse_unk": false,
              "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "bc": 5},
              "merges": ["#version: 0.2", "b c", ["a", "b"], "ab c"]}})");
}

/// The message for a description in which one field is another.
std::string error_with(json description, const std::string& pointer, const json& value) {
  description[json::json_pointer(pointer)] = value;
  return error_of([&] { Tokenizer(description, "some/tokenizer.json"); });
}

TEST(Tokenizer, EncodesBySmallDescriptions) {
  const Tokenizer wordpiece(small_wordpiece(), "wordpiece");
  EXPECT_THAT(wordpiece.encode("Únable, able!", 100).ids, ElementsAre(1, 3, 4, 0, 6, 9, 2));
  EXPECT_THAT(wordpiece.encode("unaable [CLS]", 100).ids, ElementsAre(1, 3, 5, 4, 1, 2));
  EXPECT_THAT(wordpiece.encode("unableable", 100).ids, ElementsAre(1, 3, 4, 4, 2));
  EXPECT_THAT(wordpiece.encode("unableablea", 100).ids, ElementsAre(1, 0, 2));  // too long
  EXPECT_THAT(wordpiece.encode("able", "!", 100).types, ElementsAre(0, 1));
  EXPECT_EQ(wordpiece.vocabulary_size(), 10);
  const Tokenizer bpe(small_bpe(), "bpe");
  EXPECT_THAT(bpe.encode("abcabxcb", 100).ids, ElementsAre(0, 5, 0, 5, 1));  // no x
  EXPECT_EQ(bpe.vocabulary_size(), 6);
}

TEST(Tokenizer, RefusesFewerTokensThanTheSpecialOnes) {
  const Tokenizer tokenizer(small_wordpiece(), "wordpiece");
  EXPECT_THAT(tokenizer.encode("able able", 3).ids, ElementsAre(1, 6, 2));
  EXPECT_THAT(tokenizer.encode("able", 2).ids, ElementsAre(1, 2));
  EXPECT_THAT(tokenizer.encode("able able", "un", 0).ids, ElementsAre());
  EXPECT_THAT(error_of([&] { tokenizer.encode("able", 1); }),
              AllOf(HasSubstr("at most 1"), HasSubstr("special tokens alone are 2")));
  EXPECT_THAT(error_of([&] { tokenizer.encode("a", "b", -1); }), HasSubstr("at most -1"));
}

TEST(Tokenizer, NamesWhatItDoesNotSupport) {
  const json wordpiece = small_wordpiece(), bpe = small_bpe();
  const auto type = [](const char* name) { return json{{"type", name}}; };
  EXPECT_THAT(error_with(wordpiece, "/normalizer", type("NFKC")),
              AllOf(HasSubstr("some/tokenizer.json: normalizer"), HasSubstr("'NFKC'"),
                    HasSubstr("supported are BertNormalizer")));
  EXPECT_THAT(error_with(wordpiece, "/normalizer",
                         {{"type", "Sequence"}, {"normalizers", {type("NFC"), type("Nmt")}}}),
              AllOf(HasSubstr("normalizers[1]"), HasSubstr("'Nmt'")));
  EXPECT_THAT(error_with(wordpiece, "/pre_tokenizer", type("Metaspace")),
              AllOf(HasSubstr("pre_tokenizer"), HasSubstr("'Metaspace'"), HasSubstr("ByteLevel")));
  EXPECT_THAT(error_with(wordpiece, "/post_processor", type("Other")),
              AllOf(HasSubstr("post_processor"), HasSubstr("'Other'"), HasSubstr("supported are")));
  EXPECT_THAT(error_with(wordpiece, "/model/type", "Unigram"),
              AllOf(HasSubstr("'Unigram'"), HasSubstr("WordPiece and BPE")));
  EXPECT_THAT(error_with(wordpiece, "/version", "2.0"), HasSubstr("version '2.0'"));
  EXPECT_THAT(error_with(bpe, "/model/dropout", 0.1), HasSubstr("dropout is 0.1"));
  EXPECT_THAT(error_with(bpe, "/model/byte_fallback", true),
              AllOf(HasSubstr("byte_fallback"), HasSubstr("'<0x00>' is not in the vocabulary")));
  EXPECT_THAT(error_with(bpe, "/normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "a"}}}}),
              AllOf(HasSubstr("'pattern'"), HasSubstr("'String'")));
  EXPECT_THAT(error_with(bpe, "/model/end_of_word_suffix", "</w>"), HasSubstr("'</w>'"));
  EXPECT_THAT(error_with(bpe, "/model/continuing_subword_prefix", "##"), HasSubstr("'##'"));
}

TEST(Tokenizer, NamesWhatIsWrongWithTheVocabulary) {
  const json wordpiece = small_wordpiece(), bpe = small_bpe();
  EXPECT_THAT(error_with(wordpiece, "/model/vocab/un", 6),
              AllOf(HasSubstr("\"un\""), HasSubstr("\"able\""), HasSubstr("same id 6")));
  EXPECT_THAT(error_with(wordpiece, "/model/vocab/un", -1),
              AllOf(HasSubstr("\"un\""), HasSubstr("-1")));
  EXPECT_THAT(error_with(wordpiece, "/model/vocab/un", 1.5), HasSubstr("1.5"));
  EXPECT_THAT(error_with(wordpiece, "/model/vocab/un", uint64_t{1} << 63), HasSubstr("whole"));
  EXPECT_THAT(error_with(wordpiece, "/model/vocab/un", "3"), HasSubstr("whole number"));
  EXPECT_THAT(error_with(wordpiece, "/model/vocab", json::object()), HasSubstr("'vocab'"));
  EXPECT_THAT(error_with(wordpiece, "/model/vocab", json::array()), HasSubstr("'vocab'"));
  EXPECT_THAT(error_with(wordpiece, "/model", nullptr), HasSubstr("model"));
  EXPECT_THAT(error_with(wordpiece, "/model/unk_token", "[unk]"), HasSubstr("'[unk]'"));
  EXPECT_THAT(error_with(wordpiece, "/model/max_input_chars_per_word", -1), HasSubstr("-1"));
  EXPECT_THAT(error_with(bpe, "/model/unk_token", "<unk>"), HasSubstr("'<unk>'"));
  EXPECT_THAT(error_with(bpe, "/model/merges", "a b"), HasSubstr("'merges'"));
  EXPECT_THAT(error_with(bpe, "/model/merges/1", "a  b"), HasSubstr("merges[1]"));
  EXPECT_THAT(error_with(bpe, "/model/merges/1", {"a", "b", "c"}), HasSubstr("merges[1]"));
  EXPECT_THAT(error_with(bpe, "/model/merges/1", "a x"), HasSubstr("token 'x'"));
  EXPECT_THAT(error_with(bpe, "/model/merges/1", "c a"), HasSubstr("token 'ca'"));
  EXPECT_THAT(error_of([] { Tokenizer(json::array(), "it"); }), HasSubstr("not an object"));
}

TEST(Tokenizer, NamesWhatIsWrongWithSpecialTokens) {
  const json wordpiece = small_wordpiece();
  EXPECT_THAT(error_with(wordpiece, "/added_tokens/0/id", 7),
              AllOf(HasSubstr("added_tokens[0]"), HasSubstr("'[CLS]'"), HasSubstr("must be 1")));
  EXPECT_THAT(error_with(wordpiece, "/added_tokens/0/content", "[NEW]"), HasSubstr("must be 8"));
  EXPECT_THAT(error_with(wordpiece, "/added_tokens/0/content", ""), HasSubstr("empty"));
  EXPECT_THAT(error_with(wordpiece, "/added_tokens/1", wordpiece["added_tokens"][0]),
              HasSubstr("given twice"));
  EXPECT_THAT(error_with(wordpiece, "/added_tokens", json::object()), HasSubstr("array"));
  EXPECT_THAT(error_with(wordpiece, "/added_tokens/0", {{"id", 1}, {"content", "[CLS]"}}),
              HasSubstr("'single_word'"));
  EXPECT_THAT(error_with(wordpiece, "/post_processor/special_tokens/[CLS]/ids/0", 2),
              AllOf(HasSubstr("\"[CLS]\""), HasSubstr("it has 1")));
  EXPECT_THAT(error_with(wordpiece, "/post_processor/special_tokens", json::object()),
              HasSubstr("'[CLS]' is missing"));
  EXPECT_THAT(error_with(wordpiece, "/post_processor/special_tokens/[CLS]/ids/1", 2),
              HasSubstr("equal length"));
  EXPECT_THAT(error_with(wordpiece, "/post_processor/single/1/Sequence/id", "B"),
              HasSubstr("'single' has sequence A 0 times"));
  EXPECT_THAT(error_with(wordpiece, "/post_processor/pair/1/Sequence/id", "C"), HasSubstr("'C'"));
  EXPECT_THAT(error_with(wordpiece, "/post_processor",
                         {{"type", "BertProcessing"}, {"sep", {"[SEP]", 2}}, {"cls", {"<s>", 0}}}),
              AllOf(HasSubstr("cls"), HasSubstr("\"<s>\""), HasSubstr("vocabulary")));
  EXPECT_THAT(error_with(wordpiece, "/post_processor",
                         {{"type", "RobertaProcessing"}, {"cls", {"[CLS]", 1}}}),
              HasSubstr("'sep'"));
}

/// The message for a folder with these files.
std::string error_of_files(const std::map<std::string, std::string>& files) {
  const TemporaryFolder folder;
  for (const auto& [name, text] : files) write_text(folder / name, text);
  return error_of([&] { Tokenizer::open(folder.path()); });
}

TEST(Tokenizer, NamesWhatIsWrongWithFiles) {
  EXPECT_THAT(error_of_files({}), HasSubstr("there is no tokenizer.json"));
  EXPECT_THAT(error_of_files({{"tokenizer.json", "{"}}), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of_files({{"tokenizer.json", R"({"model": 1})"}}), HasSubstr("model"));
  EXPECT_THAT(error_of_files({{"tokenizer.json", "[]"}}), HasSubstr("not an object"));
  EXPECT_THAT(error_of_files({{"vocab.txt", ""}}), HasSubstr("empty"));
  EXPECT_THAT(error_of_files({{"vocab.txt", "[UNK]\n[CLS]\na\n"}}), HasSubstr("'[SEP]'"));
  EXPECT_THAT(error_of_files({{"vocab.txt", "a\nb\na\n"}}),
              AllOf(HasSubstr("vocab.txt:3"), HasSubstr("line 1")));
  EXPECT_THAT(error_of_files({{"vocab.txt", "a\nb\xff\n"}}), HasSubstr("vocab.txt:2"));
  const std::string vocabulary = "[UNK]\n[CLS]\n[SEP]\n";
  EXPECT_THAT(error_of_files({{"vocab.txt", vocabulary},
                              {"tokenizer_config.json", R"({"tokenizer_class": "XTokenizer"})"}}),
              AllOf(HasSubstr("'XTokenizer'"), HasSubstr("BertTokenizer")));
  EXPECT_THAT(error_of_files({{"vocab.txt", vocabulary},
                              {"tokenizer_config.json", R"({"do_lower_case": 1})"}}),
              HasSubstr("do_lower_case"));
  EXPECT_THAT(error_of_files({{"vocab.txt", vocabulary}, {"added_tokens.json", "{}"}}),
              HasSubstr("added_tokens.json"));
  EXPECT_EQ(error_of_files({{"vocab.txt", vocabulary}}), "(no error)");
  EXPECT_THAT(error_of_files({{"vocab.json", R"({"a": 0})"}}), HasSubstr("merges.txt"));
  EXPECT_THAT(error_of_files({{"vocab.json", R"({"a": 0})"}, {"merges.txt", "#version: 0.2\na\n"}}),
              HasSubstr("merges.txt:2"));
  EXPECT_THAT(error_of_files({{"vocab.json", R"({"a": 0})"}, {"merges.txt", "a a\n"}}),
              HasSubstr("'aa'"));
}

TEST(Tokenizer, ReadsAddedTokensOfOlderFolders) {
  const TemporaryFolder folder;
  write_text(folder / "vocab.txt", "[UNK]\r\n<c>\r\n[SEP]\r\nword\r\n");
  write_text(folder / "tokenizer_config.json", R"({
    "tokenizer_class": "BertTokenizerFast", "cls_token": "<c>",
    "added_tokens_decoder": {
      "4": {"content": "NEW", "lstrip": false, "normalized": true, "rstrip": true,
            "single_word": false, "special": false},
      "2": {"content": "[SEP]", "lstrip": true, "normalized": false, "rstrip": false,
            "single_word": false, "special": true}}})");
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  EXPECT_EQ(tokenizer.vocabulary_size(), 5);
  EXPECT_THAT(tokenizer.encode("Word newword [SEP] <c>", 100).ids,
              ElementsAre(1, 3, 4, 3, 2, 1, 2));
}

TEST(Tokenizer, SaysWhatATokenOfLlamaIsInAText) {
  for (const char* name : {"llama", "llama_files"}) {
    const Tokenizer tokenizer = open_reference(name);
    const std::string text = "A good  film,\n\xE2\x98\x83 \xF0\x9F\x8E\xAC";
    const std::vector<int64_t> ids = tokenizer.encode(text, 99).ids;
    std::string back;
    for (const int64_t id : ids) back += tokenizer.token(id);
    EXPECT_EQ(back, "<s> " + text) << name;
  }
  json pieces = small_bpe();
  pieces["pre_tokenizer"] = nullptr;
  EXPECT_EQ(Tokenizer(pieces, "whole").token(3), "ab");
}

TEST(Tokenizer, SaysWhatATokenIsInATextAtByteLevel) {
  const Tokenizer tokenizer = Tokenizer::open("recipes/shakespeare-lstm/tokenizer");
  const std::string text = " zw\xC3\xB6lf\n\t~";
  std::string back;
  for (const int64_t id : tokenizer.encode(text, 99).ids) back += tokenizer.token(id);
  EXPECT_EQ(back, text);
  EXPECT_EQ(tokenizer.vocabulary_size(), 256);
  EXPECT_EQ(tokenizer.token(256), "");
  EXPECT_EQ(tokenizer.token(-1), "");
  json wordpiece = {{"model",
                     {{"type", "WordPiece"},
                      {"unk_token", "[UNK]"},
                      {"max_input_chars_per_word", 100},
                      {"continuing_subword_prefix", "##"},
                      {"vocab", {{"[UNK]", 0}, {"cat", 1}, {"##s", 2}}}}},
                    {"pre_tokenizer", {{"type", "BertPreTokenizer"}}}};
  const Tokenizer words(wordpiece, "words");
  EXPECT_EQ(words.token(1) + words.token(2), " cats");
}

}  // namespace
}  // namespace pace
