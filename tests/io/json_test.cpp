#include "pace/io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/error_of.h"

namespace pace {
namespace {

using testing::HasSubstr;

std::string parse_error(std::string_view text) {
  return error_of([&] { parse_json(text, "config.json"); });
}

TEST(ParseJson, SaysWhereTheMistakeIs) {
  EXPECT_THAT(parse_error("{\n  \"a\": 1,\n  b\n}"),
              AllOf(HasSubstr("config.json: not valid JSON"), HasSubstr("line 3, column 3")));
  EXPECT_THAT(parse_error(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(parse_error("{\"a\": 1e999}"), HasSubstr("config.json"));
  EXPECT_THAT(parse_error("\"\xff\""), HasSubstr("not valid JSON"));
  EXPECT_THAT(parse_error(R"({"a": {"b": 1, "b": 2}})"), HasSubstr("\"b\" is given twice"));
  EXPECT_THAT(parse_error(std::string(100'000, '[')), HasSubstr("nested deeper"));
}

TEST(JsonText, EndsInANewlineAndReadsBack) {
  const json document = {{"a", {1, 2.5, true, nullptr}}, {"ü", "ß"}};
  const std::string text = json_text(document, "x");
  EXPECT_TRUE(text.ends_with("}\n"));
  EXPECT_EQ(parse_json(text, "x"), document);
  EXPECT_THAT(error_of([] { json_text(json("\xff"), "labels"); }), HasSubstr("labels: cannot be"));
}

TEST(JsonFields, AreTypedStrictly) {
  const json object = parse_json(
      R"({"i": -3, "big": 9223372036854775808, "d": 2.5, "b": true, "s": "x", "n": null,
          "l": [3, 1], "m": [3, "1"]})",
      "c");
  EXPECT_EQ(integer_field(object, "i", "c"), -3);
  EXPECT_EQ(number_field(object, "i", "c"), -3.0);
  EXPECT_EQ(number_field(object, "d", "c"), 2.5);
  EXPECT_EQ(bool_field(object, "b", "c"), true);
  EXPECT_EQ(string_field(object, "s", "c"), "x");
  EXPECT_EQ(integers_field(object, "l", "c"), (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(error_of([&] { integer_field(object, "d", "c"); }),
            "c: field 'd' is 2.5 (number); an integer is needed");
  EXPECT_EQ(error_of([&] { integer_field(object, "x", "c"); }),
            "c: field 'x' is missing; an integer is needed");
  EXPECT_THAT(error_of([&] { integer_field(object, "big", "c"); }), HasSubstr("below 2^63"));
  EXPECT_THAT(error_of([&] { number_field(object, "s", "c"); }), HasSubstr("a number is needed"));
  EXPECT_THAT(error_of([&] { integers_field(object, "m", "c"); }), HasSubstr("array of integers"));
  EXPECT_THAT(error_of([&] { integers_field(object, "i", "c"); }), HasSubstr("array of integers"));
  EXPECT_THAT(error_of([&] { bool_field(object, "i", "c"); }), HasSubstr("true or false"));
  EXPECT_THAT(error_of([&] { string_field(object, "n", "c"); }), HasSubstr("is null; a string"));
  EXPECT_THAT(error_of([&] { string_field(json::array(), "n", "c"); }),
              HasSubstr("an object is needed, found an array of 0 elements"));
}

TEST(JsonFields, FallBackOnlyWhenAbsentOrNull) {
  const json object = {{"n", nullptr}, {"s", "x"}};
  EXPECT_EQ(integer_field(object, "n", "c", 7), 7);
  EXPECT_EQ(number_field(object, "none", "c", 1.5), 1.5);
  EXPECT_EQ(bool_field(object, "none", "c", true), true);
  EXPECT_EQ(string_field(object, "none", "c", "y"), "y");
  EXPECT_EQ(string_field(object, "s", "c", "y"), "x");
  EXPECT_THAT(error_of([&] { integer_field(object, "s", "c", 7); }), HasSubstr("'s' is \"x\""));
}

TEST(Describe, ShortensLongValues) {
  EXPECT_LT(describe(json(std::string(1000, 'x'))).size(), 100u);
  EXPECT_EQ(describe(json::object()), "an object of 0 fields");
}

}  // namespace
}  // namespace pace
