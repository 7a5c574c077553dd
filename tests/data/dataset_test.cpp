#include "pace/data/dataset.h"

#include <gmock/gmock.h>

#include <map>

#include "tests/data/pictures.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void write_picture(const fs::path& path, uint64_t seed = 1) {
  fs::create_directories(path.parent_path());
  const auto bytes = encode_png(random_picture(5, 4, 3, seed));
  write_text(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// An IDX file of bytes: magic with the number of dimensions, big-endian dimensions, data.
void write_idx(const fs::path& path, const std::vector<uint8_t>& shape, const std::string& data) {
  std::string text = {0, 0, 8, static_cast<char>(shape.size())};
  for (const uint8_t extent : shape) text += std::string(3, '\0') + static_cast<char>(extent);
  write_text(path, text + data);
}

std::string refusal(const std::string& spec) {
  return error_of([&] { open_dataset(spec); });
}

std::vector<int64_t> labels_of(const Dataset& dataset) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < dataset.size(); ++i) labels.push_back(dataset.label(i));
  return labels;
}

std::vector<std::string> names_of(const Dataset& dataset) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < dataset.size(); ++i) names.push_back(dataset.name(i));
  return names;
}

TEST(OpenDataset, ReadsFoldersSortedAtAnyDepth) {
  const TemporaryFolder folder;
  for (const char* name : {"dog/b.PNG", "dog/a.png", "dog/.hidden.png", "dog/notes.txt",
                           "cat/deep/er/c.jpeg", ".git/x.png", "top.png"}) {
    write_picture(folder / name);
  }
  const auto dataset = open_dataset("images:" + folder.path().string());
  EXPECT_THAT(dataset->classes(), ElementsAre("cat", "dog"));
  EXPECT_THAT(labels_of(*dataset), ElementsAre(0, 1, 1));
  EXPECT_THAT(names_of(*dataset),
              ElementsAre((folder / "cat/deep/er/c.jpeg").string(), (folder / "dog/a.png").string(),
                          (folder / "dog/b.PNG").string()));
  EXPECT_TRUE(at::equal(dataset->image(0), random_picture(5, 4, 3, 1)));
}

TEST(OpenDataset, ReadsIdx) {
  const TemporaryFolder folder;
  write_idx(folder / "a-images-idx3-ubyte", {3, 2, 2}, "abcdefghijkl");
  write_idx(folder / "a-labels-idx1-ubyte", {3}, {2, 0, 1});
  const auto dataset = open_dataset("idx:" + (folder / "a").string());
  EXPECT_THAT(dataset->classes(), ElementsAre("0", "1", "2"));
  EXPECT_THAT(labels_of(*dataset), ElementsAre(2, 0, 1));
  EXPECT_EQ(dataset->image(1).sizes(), at::IntArrayRef({2, 2, 1}));
  EXPECT_EQ(dataset->image(1)[0][1].item<int>(), 'f');
  EXPECT_EQ(dataset->name(1), (folder / "a").string() + " #1");
}

TEST(OpenDataset, RefusesUnknownKinds) {
  for (const char* spec : {"", "images", "images:", "tar:x", "/some/folder"}) {
    EXPECT_THROW(open_dataset(spec), UsageError) << spec;
  }
}

TEST(OpenDataset, RefusesBadFolders) {
  const TemporaryFolder folder;
  const std::string spec = "images:" + folder.path().string();
  EXPECT_THAT(refusal(spec + "/none"), HasSubstr("there is no folder"));
  EXPECT_THAT(refusal(spec), HasSubstr("0 folders of classes"));
  write_picture(folder / "one/a.png");
  EXPECT_THAT(refusal(spec), HasSubstr("1 folders of classes"));
  EXPECT_THAT(refusal(spec + "/one/a.png"), HasSubstr("is not a folder"));
  fs::create_directory(folder / "two");
  EXPECT_THAT(refusal(spec), HasSubstr("two holds no JPEG or PNG files"));
}

TEST(OpenDataset, RefusesBadIdx) {
  const TemporaryFolder folder;
  const std::string spec = "idx:" + (folder / "a").string();
  const auto images = folder / "a-images-idx3-ubyte", labels = folder / "a-labels-idx1-ubyte";
  EXPECT_THAT(refusal(spec), HasSubstr("there is neither"));
  write_idx(images, {2, 1, 1}, "ab");
  write_idx(labels, {3}, "\1\2\3");
  EXPECT_THAT(refusal(spec), HasSubstr("has 2 pictures"));
  write_idx(labels, {2}, "\1\1");
  EXPECT_THAT(refusal(spec), HasSubstr("only the label 1"));
  write_idx(labels, {2, 1}, "\1\2");
  EXPECT_THAT(refusal(spec), HasSubstr("labels have 1"));
  write_idx(images, {2, 1}, "ab");
  EXPECT_THAT(refusal(spec), HasSubstr("pictures have 3"));
}

TEST(Subset, KeepsClassesAndRefusesIndicesBeyond) {
  const auto whole = std::make_shared<PicturesInMemory>(9);
  const auto part = subset(whole, {8, 1});
  EXPECT_THAT(names_of(*part), ElementsAre("memory #8", "memory #1"));
  EXPECT_EQ(part->classes(), whole->classes());
  EXPECT_THAT(error_of([&] { subset(whole, {9}); }), HasSubstr("no example 9"));
}

TEST(Split, KeepsProportionsAndIsReproducible) {
  const auto whole = std::make_shared<PicturesInMemory>(100);  // 34, 33 and 33 of the classes
  const auto [rest, held] = split(whole, 20, 7);
  std::map<int64_t, int> counts;
  for (const int64_t label : labels_of(*held)) ++counts[label];
  EXPECT_EQ(held->size(), 20);
  for (const auto& [label, count] : counts) EXPECT_NEAR(count, 6.7, 0.8) << label;
  auto all = names_of(*rest);
  const auto held_names = names_of(*held);
  all.insert(all.end(), held_names.begin(), held_names.end());
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 100u);
  EXPECT_EQ(names_of(*split(whole, 20, 7).second), held_names);
  EXPECT_NE(names_of(*split(whole, 20, 8).second), held_names);
  EXPECT_THAT(error_of([&] { split(whole, 100, 7); }), HasSubstr("hold out 100 of 100"));
}

TEST(ReportBroken, NamesAndCountsAll) {
  const PicturesInMemory dataset(50, {3, 40});
  const std::string message = error_of([&] { report_broken(dataset, 3, quiet()); });
  EXPECT_THAT(message, HasSubstr("2 of 50"));
  EXPECT_THAT(message, HasSubstr("memory #3 is broken\n  memory #40 is broken"));
  EXPECT_THAT(error_of([] { report_broken(PicturesInMemory(3), 1, quiet()); }),
              HasSubstr("storage"));
}

}  // namespace
}  // namespace pace
