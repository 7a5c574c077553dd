#include "pace/io/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "pace/io/safetensors.h"
#include "tests/error_of.h"
#include "tests/reference.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using testing::HasSubstr;
using Bytes = std::vector<uint8_t>;

fs::path fixture(const std::string& name) { return reference("io_fixtures") / name; }
Bytes image_bytes(const std::string& name) { return read_bytes(fixture("images") / name); }

std::string error_in(const Bytes& bytes) {
  return error_of([&] { decode_image(bytes, "cat"); });
}

int64_t worst(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kInt) - b.to(at::kInt)).abs().max().item<int64_t>();
}

TEST(LoadImage, EqualsPil) {
  const SafetensorsFile pixels(fixture("pixels.safetensors"));
  ASSERT_GE(pixels.header().tensors.size(), 18u);
  for (const TensorInfo& info : pixels.header().tensors) {
    const Image image = load_image(fixture("images") / info.name);
    ASSERT_EQ(image.sizes(), at::IntArrayRef(info.shape)) << info.name;
    EXPECT_EQ(worst(image, pixels.tensor(info.name)), 0) << info.name;
  }
}

TEST(LoadImage, LumaEqualsPil) {
  // PIL takes the luma of a JPEG's RGB by convert("L"), as done here.
  const SafetensorsFile greys(fixture("greys.safetensors"));
  for (const TensorInfo& info : greys.header().tensors)
    EXPECT_EQ(
        worst(with_channels(load_image(fixture("images") / info.name), 1), greys.tensor(info.name)),
        0)
        << info.name;
}

TEST(DecodeImage, RefusesOtherKinds) {
  EXPECT_THAT(error_in({}), HasSubstr("cat: neither a JPEG nor a PNG image (it is empty)"));
  EXPECT_THAT(error_in({'G', 'I', 'F', '8', '9', 'a'}), HasSubstr("neither a JPEG nor a PNG"));
  EXPECT_THAT(error_of([] { load_image(fixture("cmyk.jpg")); }), HasSubstr("CMYK"));
  EXPECT_THAT(error_of([] { load_image("none.png"); }), HasSubstr("none.png"));
}

TEST(DecodeImage, RefusesEveryTruncation) {
  for (const char* name :
       {"odd_420.jpg", "progressive.jpg", "grey.jpg", "rgb.png", "palette.png"}) {
    const Bytes whole = image_bytes(name);
    for (size_t size = 0; size < whole.size(); size += 1 + whole.size() / 200)
      EXPECT_NE(error_in(Bytes(whole.begin(), whole.begin() + static_cast<long>(size))),
                "(no error)")
          << name << " cut to " << size;
  }
}

TEST(DecodeImage, RefusesCorruptPng) {
  Bytes png = image_bytes("rgb.png");
  png[png.size() / 2] ^= 0x40;
  EXPECT_THAT(error_in(png), HasSubstr("corrupt or truncated PNG"));
}

TEST(DecodeImage, RefusesCorruptJpeg) {
  Bytes jpeg = image_bytes("odd_444.jpg");
  // Inside the entropy-coded data, where a marker has no place.
  std::fill_n(jpeg.begin() + static_cast<long>(jpeg.size() / 2), 30, 0xff);
  jpeg[jpeg.size() / 2 + 30] = 0xc4;
  EXPECT_THAT(error_in(jpeg), HasSubstr("JPEG"));
}

/// rgb.png with other dimensions in its header, and the checksum to match.
Bytes resized_png(uint32_t width, uint32_t height) {
  constexpr size_t kKind = 12, kWidth = 16, kHeight = 20, kCrc = 29;
  Bytes png = image_bytes("rgb.png");
  const auto put = [&](size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) png[at + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
  };
  put(kWidth, width);
  put(kHeight, height);
  put(kCrc, static_cast<uint32_t>(::crc32(0, png.data() + kKind, kCrc - kKind)));
  return png;
}

TEST(DecodeImage, RefusesHugeImages) {
  EXPECT_THAT(error_in(resized_png(1 << 15, 1 << 14)), HasSubstr("32768 x 16384 pixels"));
  EXPECT_THAT(error_in(resized_png(1 << 14, 1 << 14)), HasSubstr("too few"));
  EXPECT_THAT(error_in(resized_png(0, 5)), HasSubstr("PNG"));
  EXPECT_THAT(error_in(resized_png(31, 20)), HasSubstr("PNG"));
  Bytes jpeg = image_bytes("grey.jpg");
  const std::array<uint8_t, 2> frame = {0xff, 0xc0};
  const auto at = std::search(jpeg.begin(), jpeg.end(), frame.begin(), frame.end());
  std::fill(at + 5, at + 9, 0xff);  // 65535 x 65535 (libjpeg itself stops at 65500)
  EXPECT_THAT(error_in(jpeg), HasSubstr("JPEG"));
  at[5] = at[7] = 0x80;
  EXPECT_THAT(error_in(jpeg), HasSubstr("pixels"));
}

TEST(EncodePng, RoundTrips) {
  for (int64_t channels : {1, 3}) {
    const Image image = at::randint(256, {13, 17, channels}, at::kByte);
    EXPECT_TRUE(decode_image(encode_png(image), "x").equal(image));
    const Image turned = image.transpose(0, 1);
    EXPECT_TRUE(decode_image(encode_png(turned), "x").equal(turned));
  }
  EXPECT_THAT(error_of([] { encode_png(at::zeros({2, 2})); }), HasSubstr("Float [2, 2]"));
  EXPECT_THAT(error_of([] {
                encode_png(at::zeros({2, 0, 3}, at::kByte));
              }),
              HasSubstr("[2, 0, 3]"));
}

TEST(WithChannels, ConvertsBothWays) {
  const Image grey = at::randint(256, {3, 4, 1}, at::kByte);
  EXPECT_TRUE(with_channels(grey, 1).equal(grey));
  EXPECT_TRUE(with_channels(grey, 3).equal(at::cat({grey, grey, grey}, 2)));
  EXPECT_TRUE(with_channels(with_channels(grey, 3), 1).equal(grey));
  EXPECT_THAT(error_of([&] { with_channels(grey, 4); }), HasSubstr("1 or 3 channels, not 4"));
}

}  // namespace
}  // namespace pace
