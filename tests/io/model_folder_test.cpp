#include "pace/io/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/error_of.h"
#include "tests/reference.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kIndex = "model.safetensors.index.json";

std::string open_error(const fs::path& folder) {
  return error_of([&] { ModelFolder::open(folder); });
}

TEST(ModelFolder, RoundTrips) {
  TemporaryFolder folder;
  const json config = {{"model_type", "vit"}}, preprocessor = {{"size", 224}};
  write_model_folder(folder.path(), config, preprocessor, {{"w", at::ones({2})}});
  const ModelFolder read = ModelFolder::open(folder.path());
  EXPECT_EQ(read.config, config);
  EXPECT_EQ(read.preprocessor, preprocessor);
  EXPECT_THAT(read.weights.names(), ElementsAre("w"));
  EXPECT_TRUE(read.weights.contains("w"));
  EXPECT_TRUE(read.weights.tensor("w").equal(at::ones({2})));
  EXPECT_THAT(error_of([&] { read.weights.tensor("v"); }), HasSubstr("no tensor 'v'"));
}

TEST(ModelFolder, ReadsShards) {
  const ModelFolder folder = ModelFolder::open(reference("io_fixtures") / "sharded");
  EXPECT_FALSE(folder.preprocessor);
  EXPECT_THAT(folder.weights.names(), ElementsAre("bf16", "f32", "i64"));
  const at::Tensor ramp = (at::arange(15) * 7 % 11).reshape({3, 5});
  EXPECT_TRUE(folder.weights.tensor("i64").equal(ramp));
  EXPECT_TRUE(folder.weights.tensor("bf16").equal(ramp.to(at::kBFloat16)));
}

TEST(ModelFolder, SaysWhatIsMissing) {
  TemporaryFolder folder;
  EXPECT_THAT(open_error(folder / "none"), HasSubstr("does not exist"));
  EXPECT_THAT(open_error(folder.path()), HasSubstr("no config.json"));
  write_text(folder / "config.json", "[]");
  EXPECT_THAT(open_error(folder / "config.json"), HasSubstr("is a file"));
  EXPECT_THAT(open_error(folder.path()), HasSubstr("an object is needed"));
  write_text(folder / "config.json", "{}");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("neither model.safetensors nor"));
  write_safetensors(folder / "model.safetensors", {});
  EXPECT_EQ(open_error(folder.path()), "(no error)");
  write_text(folder / "preprocessor_config.json", "{");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("preprocessor_config.json"));
  EXPECT_THAT(error_of([&] { write_model_folder(folder / "none", {}, {}, {}); }),
              HasSubstr("not an existing folder"));
}

TEST(WeightFiles, IndexAndShardsMustAgree) {
  TemporaryFolder folder;
  const auto index_error = [&](const std::string& weight_map) {
    write_text(folder / kIndex, R"({"weight_map":)" + weight_map + "}");
    return error_of([&] { WeightFiles weights(folder.path()); });
  };
  write_safetensors(folder / "a", {{"x", at::ones({1})}});
  write_safetensors(folder / "b", {{"y", at::ones({1})}});
  EXPECT_EQ(index_error(R"({"x":"a","y":"b"})"), "(no error)");
  EXPECT_THAT(index_error("[]"), HasSubstr("'weight_map' is missing or not an object"));
  EXPECT_THAT(index_error("{}"), HasSubstr("is empty"));
  EXPECT_THAT(index_error(R"({"x":"a","y":"c"})"), HasSubstr("c' is missing"));
  EXPECT_THAT(index_error(R"({"x":"a","y":"a"})"), HasSubstr("has no tensor 'y'"));
  EXPECT_THAT(index_error(R"({"x":"b","y":"b"})"), HasSubstr("has no tensor 'x'"));
  EXPECT_THAT(index_error(R"({"y":"a","x":"b"})"), HasSubstr("says is in 'b'"));
  write_safetensors(folder / "b", {{"y", at::ones({1})}, {"z", at::ones({1})}});
  EXPECT_THAT(index_error(R"({"x":"a","y":"b"})"), HasSubstr("'z', which"));
}

TEST(WeightFiles, ShardsLieBesideTheIndex) {
  TemporaryFolder folder;
  for (const char* shard : {"\"../a\"", "\"/etc/a\"", "\"sub/a\"", "\"\"", "\"..\"", "3"}) {
    write_text(folder / kIndex, std::string(R"({"weight_map":{"x":)") + shard + "}}");
    EXPECT_THAT(error_of([&] { WeightFiles weights(folder.path()); }),
                testing::AnyOf(HasSubstr("in the same folder"), HasSubstr("not a regular file")))
        << shard;
  }
}

}  // namespace
}  // namespace pace
