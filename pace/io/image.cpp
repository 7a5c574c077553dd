#include "pace/io/image.h"

#include <fmt/ranges.h>
#include <spng.h>
#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "pace/base/error.h"

namespace pace {
namespace {

constexpr uint64_t kMaxPixels = uint64_t{1} << 28;
constexpr std::array<uint8_t, 3> kJpegStart = {0xff, 0xd8, 0xff};
constexpr std::array<uint8_t, 8> kPngStart = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

bool begins_with(std::span<const uint8_t> bytes, std::span<const uint8_t> start) {
  return bytes.size() >= start.size() && std::equal(start.begin(), start.end(), bytes.begin());
}

void check_size(uint64_t width, uint64_t height, const std::string& where) {
  if (width == 0 || height == 0 || width * height > kMaxPixels)
    fail("{}: an image of {} x {} pixels; 1 to {} pixels are supported", where, width, height,
         kMaxPixels);
}

Image new_image(int64_t height, int64_t width, int64_t channels) {
  return at::empty({height, width, channels}, at::kByte);
}

struct FreeJpeg {
  void operator()(void* handle) const { tjDestroy(handle); }
};

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& where) {
  std::unique_ptr<void, FreeJpeg> decoder(tjInitDecompress());
  if (!decoder) fail("{}: cannot start to decode: {}", where, tjGetErrorStr2(nullptr));
  int width = 0, height = 0, subsampling = 0, colorspace = 0;
  if (tjDecompressHeader3(decoder.get(), bytes.data(), bytes.size(), &width, &height, &subsampling,
                          &colorspace) != 0)
    fail("{}: corrupt JPEG: {}", where, tjGetErrorStr2(decoder.get()));
  check_size(static_cast<uint64_t>(width), static_cast<uint64_t>(height), where);
  if (colorspace == TJCS_CMYK || colorspace == TJCS_YCCK)
    fail("{}: a CMYK JPEG; convert it to RGB or grey", where);
  const bool grey = colorspace == TJCS_GRAY;
  Image image = new_image(height, width, grey ? 1 : 3);
  // The accurate DCT is what PIL uses. A truncated file is only a warning to libjpeg, which would
  // fill the rest with grey. The limit on scans stops small files that take minutes.
  constexpr int kFlags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  if (tjDecompress2(decoder.get(), bytes.data(), bytes.size(), image.data_ptr<uint8_t>(), width, 0,
                    height, grey ? TJPF_GRAY : TJPF_RGB, kFlags) != 0)
    fail("{}: corrupt or truncated JPEG: {}", where, tjGetErrorStr2(decoder.get()));
  return image;
}

struct FreePng {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using PngContext = std::unique_ptr<spng_ctx, FreePng>;

void check_png(int status, const std::string& where) {
  if (status != 0) fail("{}: corrupt or truncated PNG: {}", where, spng_strerror(status));
}

/// A few bytes that promise a huge image are found before memory is taken: deflate packs at most
/// 1032:1.
void check_promise(const spng_ihdr& header, size_t file_size, const std::string& where) {
  constexpr uint64_t kMaxRatio = 1032;
  const uint64_t bits = uint64_t{header.width} * header.height * header.bit_depth;
  if (bits / 8 > file_size * kMaxRatio)
    fail("{}: corrupt or truncated PNG: {} bytes are too few for {} x {} pixels", where, file_size,
         header.width, header.height);
}

Image decode_png(std::span<const uint8_t> bytes, const std::string& where) {
  PngContext context(spng_ctx_new(0));
  if (!context) fail("{}: out of memory", where);
  constexpr size_t kMaxChunk = size_t{1} << 26;
  check_png(spng_set_crc_action(context.get(), SPNG_CRC_ERROR, SPNG_CRC_ERROR), where);
  check_png(spng_set_image_limits(context.get(), kMaxPixels, kMaxPixels), where);
  check_png(spng_set_chunk_limits(context.get(), kMaxChunk, kMaxChunk), where);
  check_png(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()), where);
  spng_ihdr header{};
  check_png(spng_get_ihdr(context.get(), &header), where);
  check_size(header.width, header.height, where);
  check_promise(header, bytes.size(), where);
  const bool grey = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE ||
                    header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
  // libspng gives one channel only for plain grey of up to 8 bits; other grey files come as RGB.
  const bool single = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE && header.bit_depth <= 8;
  Image image = new_image(header.height, header.width, single ? 1 : 3);
  check_png(spng_decode_image(context.get(), image.data_ptr<uint8_t>(), image.nbytes(),
                              single ? SPNG_FMT_G8 : SPNG_FMT_RGB8, 0),
            where);
  check_png(spng_decode_chunks(context.get()), where);  // up to the end mark
  return grey && !single ? image.narrow(2, 0, 1).contiguous() : image;
}

void check_image(const Image& image) {
  if (image.scalar_type() != at::kByte || image.dim() != 3 || image.numel() == 0 ||
      (image.size(2) != 1 && image.size(2) != 3))
    fail("an image must be uint8 [height, width, 1 or 3], not {} [{}]",
         at::toString(image.scalar_type()), fmt::join(image.sizes(), ", "));
}

}  // namespace

Image decode_image(std::span<const uint8_t> bytes, const std::string& where) {
  if (begins_with(bytes, kJpegStart)) return decode_jpeg(bytes, where);
  if (begins_with(bytes, kPngStart)) return decode_png(bytes, where);
  fail("{}: neither a JPEG nor a PNG image{}", where, bytes.empty() ? " (it is empty)" : "");
}

Image load_image(const fs::path& path) {
  return decode_image(read_bytes(path), fmt::format("'{}'", path.string()));
}

std::vector<uint8_t> encode_png(const Image& image) {
  check_image(image);
  const at::Tensor pixels = image.contiguous();
  PngContext context(spng_ctx_new(SPNG_CTX_ENCODER));
  if (!context) fail("cannot encode a PNG: out of memory");
  spng_ihdr header{};
  header.width = static_cast<uint32_t>(pixels.size(1));
  header.height = static_cast<uint32_t>(pixels.size(0));
  header.bit_depth = 8;
  header.color_type = pixels.size(2) == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR;
  spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1);
  int status = spng_set_ihdr(context.get(), &header);
  if (status == 0)
    status = spng_encode_image(context.get(), pixels.data_ptr(), pixels.nbytes(), SPNG_FMT_PNG,
                               SPNG_ENCODE_FINALIZE);
  size_t size = 0;
  std::unique_ptr<void, decltype(&std::free)> buffer(nullptr, &std::free);
  if (status == 0) buffer.reset(spng_get_png_buffer(context.get(), &size, &status));
  if (status != 0) fail("cannot encode a PNG: {}", spng_strerror(status));
  const auto* begin = static_cast<const uint8_t*>(buffer.get());
  return {begin, begin + size};
}

Image with_channels(const Image& image, int64_t channels) {
  check_image(image);
  if (channels != 1 && channels != 3) fail("an image can have 1 or 3 channels, not {}", channels);
  if (image.size(2) == channels) return image;
  if (channels == 3) {
    const at::Tensor grey = image.contiguous();
    Image rgb = new_image(grey.size(0), grey.size(1), 3);
    const uint8_t* in = grey.const_data_ptr<uint8_t>();
    for (int64_t i = 0; i < grey.numel(); ++i)
      std::fill_n(rgb.data_ptr<uint8_t>() + 3 * i, 3, in[i]);
    return rgb;
  }
  // PIL's luma: ITU-R 601 weights in 16-bit fixed point, rounded.
  constexpr int kRed = 19595, kGreen = 38470, kBlue = 7471, kHalf = 0x8000, kShift = 16;
  const at::Tensor rgb = image.contiguous();
  Image grey = new_image(rgb.size(0), rgb.size(1), 1);
  const uint8_t* in = rgb.data_ptr<uint8_t>();
  uint8_t* out = grey.data_ptr<uint8_t>();
  for (int64_t i = 0; i < grey.numel(); ++i, in += 3)
    out[i] =
        static_cast<uint8_t>((in[0] * kRed + in[1] * kGreen + in[2] * kBlue + kHalf) >> kShift);
  return grey;
}

}  // namespace pace
