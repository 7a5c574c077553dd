#include "pace/data/text_dataset.h"

#include <gmock/gmock.h>

#include "pace/base/error.h"
#include "pace/base/files.h"
#include "pace/data/tokenizer.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Tables : public ::testing::Test {
 protected:
  std::shared_ptr<const Dataset> tsv(const std::string& contents) {
    write_text(folder_ / "a.tsv", contents);
    return open_dataset("tsv:" + (folder_ / "a.tsv").string());
  }
  std::shared_ptr<const Dataset> csv(const std::string& contents) {
    write_text(folder_ / "a.csv", contents);
    return open_dataset("csv:" + (folder_ / "a.csv").string());
  }
  std::string refused(const std::string& contents) {
    return error_of([&] { tsv(contents); });
  }

  TemporaryFolder folder_;
};

TEST_F(Tables, OfTabsAreTakenAsTheyAre) {
  const auto data = tsv("sentence\tlabel\na \"quoted\" film \t1\n it's, well, long\t0\r\nzwölf\t1");
  ASSERT_EQ(data->size(), 3);
  EXPECT_EQ(data->text(0).first, "a \"quoted\" film ");
  EXPECT_EQ(data->text(1).first, " it's, well, long");
  EXPECT_EQ(data->text(2).first, "zwölf");
  EXPECT_FALSE(data->text(0).second);
  EXPECT_THAT(data->classes(), ElementsAre("0", "1"));
  EXPECT_EQ(data->label(0), 1);
  EXPECT_EQ(data->label(1), 0);
  EXPECT_THAT(data->name(2), HasSubstr("a.tsv, line 4"));
}

TEST_F(Tables, MayHoldPairsAndNumbers) {
  const auto data =
      tsv("idx\tpremise\thypothesis\tlabel\n7\ta\tb\tyes\n8\tc\td\tno\n9\te\tf\tyes\n");
  EXPECT_EQ(data->text(1).first, "c");
  EXPECT_EQ(data->text(1).second, "d");
  EXPECT_THAT(data->classes(), ElementsAre("no", "yes"));
  EXPECT_EQ(data->label(2), 1);
}

TEST_F(Tables, SortNumbersByTheirValue) {
  EXPECT_THAT(tsv("text\tlabel\na\t10\nb\t9\nc\t-1\n")->classes(), ElementsAre("-1", "9", "10"));
}

TEST_F(Tables, OfCommasMayQuoteFields) {
  const auto data =
      csv("\xEF\xBB\xBFlabel,text\r\ngood,\"one, \"\"two\"\"\nthree\"\r\nbad,plain \"text\"\n");
  EXPECT_EQ(data->text(0).first, "one, \"two\"\nthree");
  EXPECT_EQ(data->text(1).first, "plain \"text\"");
  EXPECT_THAT(data->name(1), HasSubstr("line 4"));
  EXPECT_THAT(error_of([&] { csv("label,text\na,\"b\nc\n"); }),
              ::testing::AllOf(HasSubstr("line 2"), HasSubstr("never ends")));
  EXPECT_THAT(error_of([&] { csv("label,text\na,\"b\"c\n"); }), HasSubstr("line 2"));
}

TEST_F(Tables, AreSplitWithTheirTexts) {
  const auto data = tsv("text\tlabel\na\t0\nb\t1\nc\t0\nd\t1\n");
  const auto [rest, held] = split(data, 2, 1);
  EXPECT_EQ(rest->size(), 2);
  for (const auto& part : {rest, held}) {
    for (int64_t i = 0; i < part->size(); ++i) {
      EXPECT_EQ(part->label(i), part->text(i).first == "a" || part->text(i).first == "c" ? 0 : 1);
    }
  }
  EXPECT_THAT(error_of([&] { data->image(0); }),
              HasSubstr("is no picture; the model looks at pictures"));
}

TEST_F(Tables, NameTheLineThatIsWrong) {
  const std::string good = "text\tlabel\na\t0\nb\t1\n";
  EXPECT_EQ(refused(good), "(no error)");
  EXPECT_THAT(refused(good + "\nc\t0\n"), HasSubstr("line 4: the line is empty"));
  EXPECT_THAT(refused(good + "no tab\n"), HasSubstr("line 4: 1 field(s) where the header has 2"));
  EXPECT_THAT(refused(good + "a\tb\tc\n"), HasSubstr("line 4: 3 field(s)"));
  EXPECT_THAT(refused(good + " \t0\n"), HasSubstr("line 4: there is no text"));
  EXPECT_THAT(refused(good + "c\t\n"), HasSubstr("line 4: there is no label"));
  EXPECT_THAT(refused(good + "\xC3\x28\t0\n"), HasSubstr("line 4: bytes that are no UTF-8"));
  EXPECT_THAT(refused(""), HasSubstr("is empty"));
  EXPECT_THAT(refused("text\tlabel\n"), HasSubstr("no texts"));
  EXPECT_THAT(refused("text\tlabel\na\t1\n"), HasSubstr("at least two classes"));
  EXPECT_THAT(refused("text\tclass\na\t1\n"), HasSubstr("0 column(s) named 'label' and 2 others"));
  EXPECT_THAT(refused("a\tb\tc\tlabel\n"), HasSubstr("3 others"));
}

class Documents : public ::testing::Test {
 protected:
  std::shared_ptr<const Dataset> open(const std::string& kind, const std::string& contents) {
    write_text(folder_ / "a.txt", contents);
    return open_dataset(kind + ":" + (folder_ / "a.txt").string());
  }
  std::string refused(const std::string& kind, const std::string& contents) {
    return error_of([&] { open(kind, contents); });
  }

  TemporaryFolder folder_;
};

TEST_F(Documents, OfPlainTextAreWholeFiles) {
  const std::string all = "one\n\n two\nzw\xC3\xB6lf";
  const auto data = open("text", all);
  ASSERT_EQ(data->size(), 1);
  EXPECT_EQ(data->text(0).first, all);
  EXPECT_TRUE(data->classes().empty());
  EXPECT_THAT(data->name(0), ::testing::EndsWith("a.txt"));
}

TEST_F(Documents, OfJsonLinesAreTheirTexts) {
  const auto data = open("jsonl", "{\"text\": \"a\\nb\", \"id\": 7}\n\n{\"text\": \"c\"}");
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(data->text(0).first, "a\nb");
  EXPECT_EQ(data->text(1).first, "c");
  EXPECT_THAT(data->name(1), HasSubstr("a.txt, line 3"));
}

TEST_F(Documents, NameWhatIsWrong) {
  EXPECT_THAT(refused("text", " \n\n"), HasSubstr("holds no text"));
  EXPECT_THAT(refused("text", "one\ntwo\nthr\xFF\n"),
              ::testing::AllOf(HasSubstr("line 3"), HasSubstr("UTF-8")));
  EXPECT_THAT(error_of([&] { open_dataset("text:nowhere.txt"); }), HasSubstr("nowhere.txt"));
  EXPECT_THAT(refused("jsonl", "\n"), HasSubstr("holds no text"));
  EXPECT_THAT(refused("jsonl", "{\"text\": \"a\"}\n{\"text\""), HasSubstr("line 2"));
  EXPECT_THAT(refused("jsonl", "{\"texts\": \"a\"}"),
              ::testing::AllOf(HasSubstr("line 1"), HasSubstr("'text'")));
  EXPECT_THAT(refused("jsonl", "{\"text\": \" \"}"), HasSubstr("holds no text"));
}

}  // namespace
}  // namespace pace
