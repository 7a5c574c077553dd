#include "pace/eval/model_card.h"

#include <gmock/gmock.h>

#include "tests/eval/tiny.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(ModelCard, HasFrontMatterAndCurve) {
  LoadedModel model = tiny::adaptive();
  model.calibration.dense_metric = 0.95;
  model.calibration.curve = {{.budget = 0.5, .macs_fraction = 0.498, .metric = 0.945}};
  const std::string text = render_model_card({.name = "tiny-adaptive",
                                              .base_model = "tiny: \"quoted\"",
                                              .license = "apache-2.0",
                                              .datasets = {"noise"}},
                                             model);
  EXPECT_THAT(text, StartsWith("---\nlibrary_name: pace\nlicense: \"apache-2.0\"\n"));
  EXPECT_THAT(text, HasSubstr("base_model: \"tiny: \\\"quoted\\\"\"\n"));
  EXPECT_THAT(text, HasSubstr("datasets:\n- \"noise\"\n"));
  EXPECT_THAT(text, HasSubstr("| 0.5 | 49.8 | 94.50 | -0.50 |"));
}

TEST(ModelCard, LeavesOutWhatIsUnknown) {
  const std::string text = render_model_card({.name = "tiny", .accuracy = 0.9}, tiny::dense());
  EXPECT_THAT(text, Not(HasSubstr("license")));
  EXPECT_THAT(text, Not(HasSubstr("base_model")));
  EXPECT_THAT(text, HasSubstr("90.00 %"));
}

TEST(ModelCard, LicenceComesFromTheBaseFolder) {
  const TemporaryFolder folder;
  EXPECT_EQ(license_of(folder.path()), "");
  write_text(folder / "README.md", "---\ntags:\n- x\nlicense: \"mit\"\n---\n# license: no\n");
  EXPECT_EQ(license_of(folder.path()), "mit");
  write_text(folder / "README.md", "# A model\nlicense: mit\n");
  EXPECT_EQ(license_of(folder.path()), "");
}

}  // namespace
}  // namespace pace
