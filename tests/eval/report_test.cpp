#include "pace/eval/report.h"

#include <gmock/gmock.h>

#include <limits>
#include <numbers>
#include <set>

#include "pace/eval/charts.h"
#include "pace/eval/page.h"
#include "pace/eval/svg.h"
#include "tests/eval/tiny.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// The first tag that does not close what was opened last, or "" when all are in balance.
std::string imbalance(const std::string& html) {
  static const std::set<std::string> kVoid{"meta", "img", "br", "input", "!DOCTYPE"};
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const size_t end = html.find('>', at);
    if (end == std::string::npos) return "unclosed tag";
    const bool closing = html[at + 1] == '/', alone = html[end - 1] == '/';
    const size_t name = at + (closing ? 2 : 1);
    const std::string tag = html.substr(name, html.find_first_of(" />\n", name) - name);
    if (closing) {
      if (open.empty() || open.back() != tag) return "</" + tag + ">";
      open.pop_back();
    } else if (!alone && !kVoid.contains(tag)) {
      open.push_back(tag);
    }
  }
  return open.empty() ? "" : "<" + open.back() + ">";
}

Report small_report() {
  Report report;
  report.title = "<script>alert(\"a & b\")</script>";
  report.evaluation.dense = {.accuracy = 0.93, .macs = 1e8, .items = 100};
  Result half{.budget = 0.5, .accuracy = 0.92, .macs = 5e7, .macs_fraction = 0.5};
  half.time_fraction = 0.6;
  half.choices = {{"layer.0.mlp", {10, 20, 30}}, {"layer.0.query", {0, 20, 40}}};
  half.example_fractions = {0.3f, 0.5f, 0.7f};
  report.evaluation.budgets = {half};
  report.baselines = {{"every token <the same>", {half}}};
  report.heat_maps = {{.name = "a'b.png",
                       .predicted = "cat",
                       .actual = "d<o>g",
                       .image = at::zeros({8, 8, 1}, at::kByte),
                       .share = at::rand({2, 2})}};
  report.configuration = {{"model", "</pre><b>"}};
  return report;
}

TEST(Report, DrawsTheLossAgainstTrainingCompute) {
  const TemporaryFolder folder;
  write_text(
      folder / "metrics.jsonl",
      "{\"loss\": 1.5, \"macs\": 1e9, \"step\": 1}\n{\"held_out_bits\": 2.0, \"macs\": 2e9}\n"
      "{\"loss\": 0.75, \"macs\": 3e9}\n{\"loss\"");
  const TrainingCurve curve = read_training_curve("<mine>", folder.path());
  ASSERT_EQ(curve.points.size(), 2) << "only lines with a loss";
  EXPECT_DOUBLE_EQ(curve.points[1].first, 6 * 3e9);
  EXPECT_DOUBLE_EQ(curve.points[1].second, 0.75 / std::numbers::ln2);
  Report report = small_report();
  report.training = {curve, read_training_curve("none", folder / "nowhere")};
  const std::string html = render_report(report);
  EXPECT_EQ(imbalance(html), "");
  EXPECT_THAT(html, HasSubstr("&lt;mine&gt;: 1.082 bits after 1.8e+10 FLOPs"));
  report.training.erase(report.training.begin());
  EXPECT_THAT(render_report(report), Not(HasSubstr("Loss against training compute")));
}

TEST(Report, IsWellFormedAndEscapesWhatItIsGiven) {
  const std::string html = render_report(small_report());
  EXPECT_EQ(imbalance(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&quot;a &amp; b&quot;)"));
  EXPECT_THAT(html, HasSubstr("every token &lt;the same&gt;"));
  EXPECT_THAT(html, HasSubstr("d&lt;o&gt;g"));
  EXPECT_THAT(html, HasSubstr("&lt;/pre&gt;&lt;b&gt;"));
  EXPECT_THAT(html, HasSubstr("data:image/png;base64,iVBORw0KGgo"));
  EXPECT_THAT(html, Not(HasSubstr("http")));
}

TEST(Report, LeavesOutWhatWasNotMeasured) {
  Report report;
  report.title = "dense only";
  report.evaluation.dense.items = 3;
  report.evaluation.dense.accuracy = std::numeric_limits<double>::quiet_NaN();
  report.evaluation.budgets = {report.evaluation.dense};
  const std::string html = render_report(report);
  EXPECT_EQ(imbalance(html), "");
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, Not(HasSubstr("Where in the picture")));
}

TEST(Report, IsWrittenToOneFile) {
  const TemporaryFolder folder;
  const Report report = small_report();
  write_report(folder / "report.html", report);
  EXPECT_EQ(read_text(folder / "report.html"), render_report(report));
}

TEST(HeatMaps, GiveTheShareOfEveryPatch) {
  const LoadedModel model = tiny::adaptive();
  const tiny::Pictures pictures(40, 5);
  const std::vector<HeatMap> maps = heat_maps(model, tiny::processor(), pictures, 0.5, 6, 0);
  ASSERT_EQ(maps.size(), 6u);
  for (size_t i = 0; i < maps.size(); ++i) {
    EXPECT_EQ(maps[i].share.sizes(), (std::vector<int64_t>{4, 4}));
    EXPECT_EQ(maps[i].image.sizes(), (std::vector<int64_t>{16, 16, 1}));
    EXPECT_GE(maps[i].share.min().item<double>(), 0.0);
    EXPECT_LE(maps[i].share.max().item<double>(), 1.0);
    EXPECT_GE(maps[i].macs_fraction, i > 0 ? maps[i - 1].macs_fraction : 0.0);
  }
}

TEST(HeatMaps, NeedAnAdaptiveModel) {
  const tiny::Pictures pictures(4);
  EXPECT_THROW(heat_maps(tiny::dense(), tiny::processor(), pictures, 1.0, 2, 0), Error);
}

TEST(Report, OpensTheBudgetNearestToHalf) {
  Report report = small_report();
  std::vector<Result>& budgets = report.evaluation.budgets;
  budgets.resize(4, budgets.front());
  for (size_t i = 0; const double budget : {1.0, 0.6, 0.55, 0.3}) budgets[i++].budget = budget;
  EXPECT_THAT(render_report(report), HasSubstr("id=\"tab2\" checked"));
}

TEST(Report, PaintsASilentSoundDark) {
  SoundMap map;
  map.audio = {at::zeros({1600}), 16000};
  map.spectrogram = at::full({3, 4}, -100.0);
  map.share = at::full({4}, 0.25);
  const auto darkest = svg::viridis(0);
  const Image dark =
      at::tensor(at::ArrayRef<uint8_t>(darkest.data(), 3)).expand({3, 4, 3}).contiguous();
  EXPECT_THAT(charts::sound(map, 1.0), HasSubstr(page::png_address(encode_png(dark))));
}

}  // namespace
}  // namespace pace
