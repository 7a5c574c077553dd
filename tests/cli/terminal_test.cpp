#include "pace/cli/terminal.h"

#include <gtest/gtest.h>

#include <cmath>

#include "pace/cli/options.h"
#include "pace/cli/table.h"

namespace pace::cli {
namespace {

TEST(ProgressLine, TellsShareRateAndTimeLeft) {
  const Progress progress{"train", "loss 0.5", 200, 100, 50, 10.0};
  EXPECT_EQ(progress_line(progress, 0), "train  50% 100/200 [00:10<00:20, 5/s] loss 0.5");
  const std::string line = progress_line(progress, 80);
  EXPECT_EQ(line.size(), 79u);
  EXPECT_NE(line.find("|####"), std::string::npos);
  EXPECT_EQ(progress_line(progress, 20).size(), 19u) << "a narrow terminal cuts, never wraps";
}

TEST(ProgressLine, SurvivesWhatIsNotKnown) {
  EXPECT_EQ(progress_line({"x", "", 0, 0, 0, 0.0}, 0), "x   0% 0/0 [00:00<?, ?/s]");
  EXPECT_EQ(progress_line({"x", "", 10, 1, 0, 7200.0}, 0),
            "x  10% 1/10 [2:00:00<18:00:00, 7200 s each]");
}

std::string written(std::FILE* stream) {
  std::rewind(stream);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), stream));
  std::fclose(stream);
  return text;
}

TEST(Terminal, IsQuietAboutShortWorkWhereNobodyWatches) {
  std::FILE* stream = std::tmpfile();
  {
    Terminal terminal(stream, false);
    terminal.start("work", 100);
    for (int i = 1; i <= 100; ++i) terminal.advance(i);
    terminal.warn("beware");
    terminal.finish();
  }
  EXPECT_EQ(written(stream), "warning: beware\n");
}

TEST(Terminal, DrawsOverItselfWhereSomebodyDoes) {
  std::FILE* stream = std::tmpfile();
  {
    Terminal terminal(stream, true);
    terminal.start("work", 10);
    terminal.warn("beware");
    terminal.advance(10);
    terminal.finish();
  }
  const std::string text = written(stream);
  EXPECT_NE(text.find("\r\033[Kwarning: beware\n"), std::string::npos);
  EXPECT_EQ(text.back(), '\n');
}

TEST(Options, RangesAndShares) {
  EXPECT_EQ(parse_range("3", "x"), (std::vector<int64_t>{3}));
  EXPECT_EQ(parse_range("1-4", "x"), (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(parse_range("1-8*2", "x"), (std::vector<int64_t>{1, 2, 4, 8}));
  EXPECT_EQ(parse_range("1-9+4", "x"), (std::vector<int64_t>{1, 5, 9}));
  for (const char* text : {"", "0", "-1", "4-1", "1-8*1", "1-8+0", "a", "1.5", "1-8*"}) {
    EXPECT_THROW(parse_range(text, "x"), CLI::ValidationError) << text;
  }
  EXPECT_DOUBLE_EQ(parse_share("1%", "x"), 0.01);
  EXPECT_DOUBLE_EQ(parse_share("0.5", "x"), 0.5);
  for (const char* text : {"", "%", "nan", "-1%", "100%", "1", "1%%"}) {
    EXPECT_THROW(parse_share(text, "x"), CLI::ValidationError) << text;
  }
}

TEST(Table, AlignsItsColumns) {
  EXPECT_EQ(format_table({"", "accuracy"}, {{"dense", "95.00 %"}}),
            "       accuracy\ndense   95.00 %\n");
  EXPECT_EQ(with_prefix(1384000000.0), "1.38 G");
  EXPECT_EQ(duration(0.0023), "2.3 ms");
  EXPECT_EQ(percent(std::nan("")), "-");
}

}  // namespace
}  // namespace pace::cli
