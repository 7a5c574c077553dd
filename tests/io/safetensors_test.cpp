#include "pace/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>

#include "tests/error_of.h"
#include "tests/reference.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::map<std::string, at::ScalarType> kDtypes = {
    {"f64", at::kDouble}, {"f32", at::kFloat}, {"f16", at::kHalf},  {"bf16", at::kBFloat16},
    {"i64", at::kLong},   {"i32", at::kInt},   {"i16", at::kShort}, {"i8", at::kChar},
    {"u8", at::kByte},    {"bool", at::kBool}};

/// The tensors of tests/reference/io_fixtures.py.
NamedTensors fixture_tensors() {
  NamedTensors tensors;
  const at::Tensor ramp = (at::arange(15) * 7 % 11).reshape({3, 5});
  for (const auto& [name, dtype] : kDtypes) tensors.emplace_back(name, ramp.to(dtype));
  tensors.emplace_back("scalar", at::scalar_tensor(2.5));
  tensors.emplace_back("empty", at::zeros({0, 4}));
  return tensors;
}

/// A file of the given header, its length in front and `data` bytes behind.
std::string forge(const std::string& header, size_t data = 0) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header +
         std::string(data, '\0');
}

std::string parse_error(const std::string& file) {
  return error_of([&] { parse_safetensors_header(file, file.size(), "w.safetensors"); });
}

/// A header of one tensor "t" with the given fields.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"t":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(Safetensors, ReadsWhatThePackageWrites) {
  const SafetensorsFile file(reference("io_fixtures") / "dtypes.safetensors");
  EXPECT_THAT(file.header().metadata,
              ElementsAre(std::pair("größe", "ünï"), std::pair("made_by", "safetensors")));
  const NamedTensors expected = fixture_tensors();
  EXPECT_EQ(file.header().tensors.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(file.contains(name));
    const at::Tensor read = file.tensor(name);
    EXPECT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(read.equal(tensor)) << name;
  }
}

TEST(Safetensors, WritesByteForByteWhatThePackageWrites) {
  TemporaryFolder folder;
  // One field of metadata: the package writes several in any order.
  write_safetensors(folder / "ours", fixture_tensors(), {{"format", "pt"}});
  const std::string script =
      "import sys, torch\n"
      "from safetensors.torch import load_file, save_file\n"
      "save_file(load_file(sys.argv[1]), sys.argv[2], {'format': 'pt'})\n";
  write_text(folder / "repack.py", script);
  const char* python = std::getenv("PACE_PYTHON");
  ASSERT_TRUE(python) << "PACE_PYTHON is unset; run the tests through ctest";
  const std::string command =
      fmt::format("'{}' '{}' '{}' '{}'", python, (folder / "repack.py").string(),
                  (folder / "ours").string(), (folder / "theirs").string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(read_text(folder / "ours"), read_text(folder / "theirs"));
}

TEST(Safetensors, TensorsAreViewsThatKeepTheMapAlive) {
  TemporaryFolder folder;
  write_safetensors(folder / "w", {{"a", at::arange(8)}, {"b", at::arange(8)}});
  at::Tensor a, b;
  {
    const SafetensorsFile file(folder / "w");
    a = file.tensor("a");
    b = file.tensor("b");
    EXPECT_EQ(file.tensor("a").data_ptr(), a.data_ptr());
  }
  EXPECT_EQ(static_cast<char*>(b.data_ptr()) - static_cast<char*>(a.data_ptr()), 64);
  fs::remove(folder / "w");
  EXPECT_TRUE(a.equal(at::arange(8)));
}

TEST(Safetensors, CopiesTensorsThatAreNotAligned) {
  TemporaryFolder folder;
  std::string file = forge(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                           R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})");
  const float value = 1.5;
  file += '\7' + std::string(reinterpret_cast<const char*>(&value), 4);
  write_text(folder / "w", file);
  const at::Tensor b = SafetensorsFile(folder / "w").tensor("b");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data_ptr()) % 4, 0u);
  EXPECT_EQ(b.item<float>(), 1.5f);
}

TEST(Safetensors, WritesViewsAndGradients) {
  TemporaryFolder folder;
  const at::Tensor matrix = at::arange(6, at::kFloat).reshape({2, 3}).set_requires_grad(true);
  write_safetensors(folder / "w", {{"t", matrix.t()}, {"e", at::ones({1}).expand({4})}});
  const SafetensorsFile file(folder / "w");
  EXPECT_TRUE(file.tensor("t").equal(matrix.detach().t()));
  EXPECT_TRUE(file.tensor("e").equal(at::ones({4})));
  for (const TensorInfo& tensor : file.header().tensors)
    EXPECT_EQ((file.header().data_offset + tensor.begin) % 4, 0u);
}

TEST(Safetensors, WriterRefusesWhatItCannotWrite) {
  TemporaryFolder folder;
  const auto write = [&](const NamedTensors& tensors) {
    return error_of([&] { write_safetensors(folder / "w", tensors); });
  };
  const at::Tensor one = at::ones({1});
  EXPECT_THAT(write({{"a", one}, {"a", one}}), HasSubstr("'a' is given twice"));
  EXPECT_THAT(write({{"__metadata__", one}}), HasSubstr("reserved"));
  EXPECT_THAT(write({{"a", at::Tensor()}}), HasSubstr("undefined"));
  EXPECT_THAT(write({{"a", one.to_sparse()}}), HasSubstr("not dense"));
  EXPECT_THAT(write({{"a", one.to(at::kComplexFloat)}}), HasSubstr("ComplexFloat"));
  EXPECT_THAT(write({{"\xff", one}}), HasSubstr("UTF-8"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Safetensors, EmptyFilesRoundTrip) {
  TemporaryFolder folder;
  write_safetensors(folder / "w", {});
  EXPECT_TRUE(SafetensorsFile(folder / "w").header().tensors.empty());
  EXPECT_THAT(error_of([&] { SafetensorsFile(folder / "w").tensor("x"); }),
              HasSubstr("has no tensor 'x'"));
}

TEST(Safetensors, SaysWhichFileCannotBeRead) {
  TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { SafetensorsFile(folder / "none"); }), HasSubstr("none'"));
  EXPECT_THAT(error_of([&] { SafetensorsFile(folder.path()); }), HasSubstr("not a regular file"));
  write_text(folder / "empty", "");
  EXPECT_THAT(error_of([&] { SafetensorsFile(folder / "empty"); }), HasSubstr("too few"));
  EXPECT_THAT(error_of([&] { SafetensorsFile("/dev/null"); }), HasSubstr("not a regular file"));
}

TEST(Safetensors, BoolsMustBeZeroOrOne) {
  TemporaryFolder folder;
  write_text(folder / "w", forge(one("\"BOOL\"", "[2]", "[0,2]")) + "\1\2");
  EXPECT_THAT(error_of([&] { SafetensorsFile(folder / "w").tensor("t"); }),
              HasSubstr("neither 0 nor 1"));
}

TEST(SafetensorsHeader, RefusesAWrongLength) {
  EXPECT_THAT(parse_error("1234567"), HasSubstr("7 bytes are too few"));
  EXPECT_THAT(parse_error(std::string(8, '\xff') + "{}"), HasSubstr("over the limit"));
  EXPECT_THAT(parse_error(forge("{}").substr(0, 9)), HasSubstr("only 1 bytes follow"));
  EXPECT_THAT(parse_error(std::string(8, '\0')), HasSubstr("does not begin with"));
}

TEST(SafetensorsHeader, RefusesWhatIsNotAnObject) {
  EXPECT_THAT(parse_error(forge("[]")), HasSubstr("does not begin with"));
  EXPECT_THAT(parse_error(forge(" {}")), HasSubstr("does not begin with"));
  EXPECT_THAT(parse_error(forge("{")), HasSubstr("not valid JSON"));
  EXPECT_THAT(parse_error(forge("{} x")), HasSubstr("not valid JSON"));
  EXPECT_THAT(parse_error(forge("{\"\xff\":1}")), HasSubstr("not valid JSON"));
  EXPECT_THAT(parse_error(forge(R"({"t":[]})")), HasSubstr("tensor 't' is an array"));
  EXPECT_THAT(parse_error(forge("{}  ")), "(no error)");  // the writer's padding
}

TEST(SafetensorsHeader, RefusesNestingBombs) {
  EXPECT_THAT(parse_error(forge("{\"t\":" + std::string(1'000'000, '['))), HasSubstr("nested"));
  std::string objects = "{";
  for (int i = 0; i < 10'000; ++i) objects += "\"t\":{";
  EXPECT_THAT(parse_error(forge(objects)), HasSubstr("nested"));
}

TEST(SafetensorsHeader, RefusesDuplicates) {
  const std::string t = R"("t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(parse_error(forge("{" + t + "," + t + "}", 1)), HasSubstr("\"t\" is given twice"));
  EXPECT_THAT(parse_error(forge(
                  R"({"t":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1)),
              HasSubstr("\"dtype\" is given twice"));
  // The same name at two places that have nothing to do with each other is fine.
  EXPECT_THAT(parse_error(forge(R"({"__metadata__":{"t":"x"},)" + t + "}", 1)), "(no error)");
}

TEST(SafetensorsHeader, RefusesWrongFields) {
  EXPECT_THAT(parse_error(forge(R"({"t":{"shape":[],"data_offsets":[0,1]}})", 1)),
              HasSubstr("'dtype' is missing"));
  EXPECT_THAT(parse_error(forge(R"({"t":{"dtype":"U8","data_offsets":[0,1]}})", 1)),
              HasSubstr("'shape' is missing"));
  EXPECT_THAT(parse_error(forge(R"({"t":{"dtype":"U8","shape":[1]}})", 1)),
              HasSubstr("'data_offsets' is missing"));
  EXPECT_THAT(parse_error(forge(one("3", "[1]", "[0,1]"), 1)), HasSubstr("a string is needed"));
  EXPECT_THAT(parse_error(forge(one("\"F7\"", "[1]", "[0,1]"), 1)),
              AllOf(HasSubstr("w.safetensors: tensor 't'"), HasSubstr("'F7' is unknown"),
                    HasSubstr("BF16")));
}

TEST(SafetensorsHeader, RefusesWrongShapes) {
  const auto shape_error = [](const std::string& shape) {
    return parse_error(forge(one("\"F32\"", shape, "[0,4]"), 4));
  };
  EXPECT_THAT(shape_error("[1]"), "(no error)");
  EXPECT_THAT(shape_error("[]"), "(no error)");
  EXPECT_THAT(shape_error("4"), HasSubstr("an array is needed"));
  EXPECT_THAT(shape_error("[-1]"), HasSubstr("dimension -1"));
  EXPECT_THAT(shape_error("[1.0]"), HasSubstr("dimension 1.0"));
  EXPECT_THAT(shape_error("[\"1\"]"), HasSubstr("dimension \"1\""));
  EXPECT_THAT(shape_error("[9223372036854775808]"), HasSubstr("dimension 9223372036854775808"));
  EXPECT_THAT(shape_error("[99999999999999999999]"), HasSubstr("dimension 1e+20"));
  EXPECT_THAT(shape_error("[4294967296,4294967296]"), HasSubstr("more than 2^63-1 bytes"));
  EXPECT_THAT(shape_error("[4294967296,0,4294967296]"), HasSubstr("more than 2^63-1 bytes"));
  EXPECT_THAT(shape_error("[2]"), HasSubstr("span 4 bytes, but shape [2] of Float takes 8"));
  EXPECT_THAT(shape_error("[0]"), HasSubstr("takes 0"));
  std::string many = "[1";
  for (int i = 0; i < 64; ++i) many += ",1";
  EXPECT_THAT(shape_error(many + "]"), HasSubstr("65 dimensions"));
}

TEST(SafetensorsHeader, RefusesWrongOffsets) {
  const auto offset_error = [](const std::string& offsets, size_t data = 4) {
    return parse_error(forge(one("\"U8\"", "[4]", offsets), data));
  };
  EXPECT_THAT(offset_error("[0,4]"), "(no error)");
  for (const char* wrong : {"0", "[0]", "[0,4,4]", "[-4,0]", "[0,4.0]", "[0,\"4\"]", "{}"})
    EXPECT_THAT(offset_error(wrong), HasSubstr("two non-negative integers")) << wrong;
  EXPECT_THAT(offset_error("[4,0]"), HasSubstr("reversed"));
  EXPECT_THAT(offset_error("[0,4]", 3), HasSubstr("beyond the file's 3 bytes"));
  EXPECT_THAT(offset_error("[18446744073709551612,18446744073709551615]"), HasSubstr("beyond"));
  EXPECT_THAT(offset_error("[1,5]", 5), HasSubstr("a hole in the data from 0"));
  EXPECT_THAT(offset_error("[0,4]", 5), HasSubstr("end at byte 4 of the data, but the file has 5"));
  EXPECT_THAT(parse_error(forge("{}", 5)), HasSubstr("the file has 5"));
}

TEST(SafetensorsHeader, RefusesOverlap) {
  const auto two = [](const std::string& a, const std::string& b) {
    return parse_error(forge(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                                 R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                             8));
  };
  EXPECT_THAT(two("[0,4]", "[4,8]"), "(no error)");
  EXPECT_THAT(two("[4,8]", "[0,4]"), "(no error)");
  EXPECT_THAT(two("[0,4]", "[0,4]"), HasSubstr("inside the one before it"));
  EXPECT_THAT(two("[0,4]", "[3,7]"), HasSubstr("inside the one before it"));
}

TEST(SafetensorsHeader, RefusesWrongMetadata) {
  EXPECT_THAT(parse_error(forge(R"({"__metadata__":[]})")), HasSubstr("an object is needed"));
  EXPECT_THAT(parse_error(forge(R"({"__metadata__":{"a":1}})")),
              HasSubstr("'a' = 1 (number); a string is needed"));
}

TEST(SafetensorsHeader, EmptyTensorsMayLieAnywhereBetweenOthers) {
  const std::string empty = R"({"dtype":"F32","shape":[0],"data_offsets":)";
  const std::string file =
      forge(R"({"a":)" + empty + R"([0,0]},"b":)" + empty +
                R"([4,4]},"t":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
            4);
  EXPECT_THAT(parse_error(file), "(no error)");
}

}  // namespace
}  // namespace pace
