#include "pace/data/image_processor.h"

#include <gmock/gmock.h>

#include <limits>

#include "pace/io/json.h"
#include "pace/io/safetensors.h"
#include "tests/data/pictures.h"
#include "tests/error_of.h"
#include "tests/reference.h"

namespace pace {
namespace {

using ::testing::HasSubstr;

const json kViT = {{"size", 8}, {"image_mean", {0.5}}, {"image_std", {0.5}}};

json with(json config, const std::string& field, const json& value) {
  config[field] = value;
  return config;
}

std::string refusal(const json& config, int64_t channels = 3) {
  return error_of([&] { ImageProcessor(config, channels); });
}

/// The largest difference in bytes (before normalisation) over all channels.
double difference_in_bytes(const at::Tensor& ours, const at::Tensor& theirs, const json& config) {
  const bool rescales = config["do_rescale"].get<bool>();
  const double byte = rescales ? config["rescale_factor"].get<double>() : 1.0;
  double largest = 0.0;
  for (int64_t c = 0; c < ours.size(0); ++c) {
    double deviation = 1.0;
    if (config["do_normalize"].get<bool>()) {
      const json& field = config["image_std"];
      deviation = (field.is_array() ? field[static_cast<size_t>(c)] : field).get<double>();
    }
    const double difference = (ours[c] - theirs[c]).abs().max().item<double>();
    largest = std::max(largest, difference * deviation / byte);
  }
  return largest;
}

TEST(ImageProcessor, EqualsTransformersOnPhotos) {
  const auto folder = reference("image_processor");
  const json made = parse_json(read_text(folder / "cases.json"), "cases.json");
  const SafetensorsFile values(folder / "values.safetensors");
  for (const auto& [name, about] : made["cases"].items()) {
    const ImageProcessor processor(about["config"], about["channels"]);
    for (const auto& picture : made["pictures"]) {
      const std::string file = picture.get<std::string>();
      SCOPED_TRACE(name + " " + file);
      const at::Tensor expected = values.tensor(name + "/" + file);
      const at::Tensor pixels = processor(load_image(folder / file));
      ASSERT_EQ(pixels.sizes(), expected.sizes());
      // The bytes are the same, up to single precision of the normalisation.
      EXPECT_LT(difference_in_bytes(pixels, expected, about["config"]), 1e-3);
    }
  }
}

TEST(ImageProcessor, TakesTheDefaultsOfTheNamedProcessorAsTransformersDoes) {
  const json made =
      parse_json(read_text(reference("image_processor") / "cases.json"), "cases.json");
  const Image photo = random_picture(70, 50, 3, 1);
  for (const std::string name : {"vit", "deit", "bit", "bit_padded", "deit_padded"}) {
    const json& about = made["cases"][name];
    json bare = about["fields"];
    bare["image_processor_type"] = about["config"]["image_processor_type"];
    bare["crop_pct"] = nullptr;
    const at::Tensor full = ImageProcessor(about["config"], 3)(photo);
    EXPECT_TRUE(at::equal(ImageProcessor(bare, 3)(photo), full)) << name;
  }
}

TEST(ImageProcessor, ReadsSizesInEveryForm) {
  const json forms[] = {8, {8, 8}, {{"height", 8}, {"width", 8}, {"shortest_edge", nullptr}}};
  for (const json& form : forms) {
    const ImageProcessor processor(with(kViT, "size", form), 3);
    EXPECT_EQ(processor.height(), 8);
    EXPECT_EQ(processor.width(), 8);
  }
}

TEST(ImageProcessor, KeepsABackgroundNearZero) {
  const ImageProcessor processor(with(kViT, "image_mean", {0.2, 0.4, 0.6}), 3);
  EXPECT_EQ(processor.background(), (std::vector<uint8_t>{51, 102, 153}));
}

TEST(ImageProcessor, WidensGreyAndReducesColour) {
  EXPECT_EQ(ImageProcessor(kViT, 3)(random_picture(9, 9, 1, 1)).size(0), 3);
  EXPECT_EQ(ImageProcessor(kViT, 1)(random_picture(9, 9, 3, 1)).size(0), 1);
}

TEST(ImageProcessor, RefusesAnotherSizeWhenResizingIsOff) {
  const ImageProcessor processor(with(kViT, "do_resize", false), 3);
  EXPECT_EQ(processor.fit(random_picture(8, 8, 3, 1)).size(0), 8);
  EXPECT_THAT(error_of([&] { processor.fit(random_picture(8, 9, 3, 1)); }),
              HasSubstr("9x8 pixels"));
}

TEST(ImageProcessor, RefusesToNormalizeWhatIsNotFitted) {
  const ImageProcessor processor(kViT, 3);
  EXPECT_THAT(error_of([&] { processor.normalize(random_picture(8, 9, 3, 1)); }),
              HasSubstr("[8, 8, 3]"));
}

TEST(ImageProcessor, RefusesAbsurdlyLongPictures) {
  const json config = {{"image_processor_type", "BitImageProcessor"}, {"size", 60000}};
  EXPECT_THAT(error_of([&] { ImageProcessor(config, 3).fit(random_picture(1, 100, 3, 1)); }),
              HasSubstr("2^28 pixels"));
}

TEST(ImageProcessor, RefusesBadConfigs) {
  EXPECT_THAT(refusal(json::array()), HasSubstr("must be a JSON object"));
  EXPECT_THAT(refusal(json::object()), HasSubstr("'size' is missing"));
  EXPECT_THAT(refusal({{"size", 8}}), HasSubstr("'image_mean' is missing"));
  EXPECT_THAT(refusal(kViT, 2), HasSubstr("2 channels"));
  EXPECT_THAT(refusal(with(kViT, "image_processor_type", "SamImageProcessor")), HasSubstr("'Sam'"));
  EXPECT_THAT(refusal(with(kViT, "size", 0)), HasSubstr("size is 0"));
  EXPECT_THAT(refusal(with(kViT, "size", 7.5)), HasSubstr("size is 7.5"));
  EXPECT_THAT(refusal(with(kViT, "size", {{"longest_edge", 8}})), HasSubstr("longest_edge"));
  EXPECT_THAT(refusal(with(kViT, "size", {{"shortest_edge", 8}})), HasSubstr("do_center_crop"));
  EXPECT_THAT(refusal(with(kViT, "do_center_crop", true)), HasSubstr("'crop_size' is missing"));
  EXPECT_THAT(refusal(with(kViT, "resample", 1)), HasSubstr("resample is 1"));
  EXPECT_THAT(refusal(with(kViT, "do_pad", true)), HasSubstr("do_pad"));
  EXPECT_THAT(refusal(with(kViT, "do_convert_rgb", true), 1), HasSubstr("do_convert_rgb"));
  EXPECT_THAT(refusal(with(kViT, "rescale_factor", 0.0)), HasSubstr("rescale_factor is 0"));
  EXPECT_THAT(refusal(with(kViT, "image_mean", {0.1, 0.2})), HasSubstr("2 values"));
  EXPECT_THAT(refusal(with(kViT, "image_std", 0.0)), HasSubstr("must be positive"));
  EXPECT_THAT(refusal(with(kViT, "image_std", "x")), HasSubstr("finite numbers"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(refusal(with(kViT, "image_mean", {nan, 0.1, 0.1})), HasSubstr("finite numbers"));
}

}  // namespace
}  // namespace pace
