#include "pace/data/speech_dataset.h"

#include <gmock/gmock.h>

#include "tests/error_of.h"
#include "tests/sounds.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

class SpeechData : public ::testing::Test {
 protected:
  fs::path sound(const std::string& name, size_t samples) {
    fs::create_directories((folder_ / name).parent_path());
    const bool flac = name.ends_with(".flac");
    write_sound(folder_ / name, flac ? kFlac : kWav, std::vector<float>(samples, 0.25F));
    return folder_ / name;
  }
  std::string table(const std::string& text) {
    write_text(folder_ / "table.tsv", text);
    return "speech:" + (folder_ / "table.tsv").string();
  }
  std::string refused(const std::string& text) {
    return error_of([&] { open_dataset(table(text)); });
  }

  TemporaryFolder folder_;
};

TEST_F(SpeechData, IsATableOfSoundsAndWhatIsSaidInThem) {
  sound("a.wav", 100);
  sound("clips/b.flac", 200);
  const auto data =
      open_dataset(table("client\tpath\tsentence\n7\ta.wav\tHello there.\n8\tb.flac\tAh!\n"));
  ASSERT_EQ(data->size(), 2);
  EXPECT_TRUE(data->classes().empty());
  EXPECT_EQ(data->text(0).first, "Hello there.");
  EXPECT_EQ(data->audio(1).samples.numel(), 200) << "in the folder clips";
  EXPECT_EQ(open_dataset(table("file\ttext\na.wav\tHELLO\n"))->text(0).first, "HELLO");
}

TEST_F(SpeechData, IsAFolderOfTranscripts) {
  sound("84/121/84-121-0000.flac", 300);
  sound("84/121/84-121-0001.wav", 400);
  write_text(folder_ / "84/121/84-121.trans.txt", "84-121-0000 GO ON\r\n84-121-0001 STOP\n");
  const auto data = open_dataset("speech:" + folder_.path().string());
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(data->text(0).first, "GO ON");
  EXPECT_EQ(data->audio(1).samples.numel(), 400);
  write_text(folder_ / "84/121/84-121.trans.txt", "84-121-0000 GO ON\n84-121-0007 STOP\n");
  EXPECT_THAT(error_of([&] { open_dataset("speech:" + folder_.path().string()); }),
              HasSubstr("line 2: there is neither 84-121-0007.flac nor 84-121-0007.wav"));
  write_text(folder_ / "84/121/84-121.trans.txt", "84-121-0000\n");
  EXPECT_THAT(error_of([&] { open_dataset("speech:" + folder_.path().string()); }),
              HasSubstr("line 1: there is no text"));
}

TEST_F(SpeechData, NamesWhatIsWrong) {
  sound("a.wav", 100);
  EXPECT_THAT(refused(""), HasSubstr("is empty"));
  EXPECT_THAT(refused("file\twords\na.wav\tHELLO\n"), HasSubstr("neither a column 'text'"));
  EXPECT_THAT(refused("name\ttext\na.wav\tHELLO\n"), HasSubstr("neither a column 'file'"));
  EXPECT_THAT(refused("file\ttext\n"), HasSubstr("names no sounds"));
  EXPECT_THAT(refused("file\ttext\nb.wav\tHELLO\n"),
              HasSubstr("line 2: there is no sound 'b.wav'"));
  EXPECT_THAT(refused("file\ttext\na.wav\t \n"), HasSubstr("line 2: there is no text"));
  EXPECT_THAT(refused("file\ttext\na.wav\n"), HasSubstr("line 2: 1 field(s)"));
  EXPECT_THAT(error_of([&] { open_dataset("speech:" + folder_.path().string()); }),
              HasSubstr("NAME.trans.txt"));
  EXPECT_THAT(error_of([] { open_dataset("speech:/nowhere.tsv"); }), HasSubstr("/nowhere.tsv"));
}

}  // namespace
}  // namespace pace
