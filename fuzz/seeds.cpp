// Writes the first inputs of every fuzz target: fuzz_seeds FOLDER.

#include <turbojpeg.h>
#include <zlib.h>

#include <cstdio>

#include "pace/base/error.h"
#include "pace/io/image.h"
#include "pace/io/json.h"
#include "pace/io/safetensors.h"

namespace {

using pace::fs::path;
using Bytes = std::vector<uint8_t>;

void write(const path& target, const Bytes& bytes) {
  pace::fs::create_directories(target.parent_path());
  pace::write_text(target, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

pace::Image scene(int64_t channels) {
  return (at::arange(9 * 7 * channels) * 37 % 251).to(at::kByte).reshape({9, 7, channels});
}

Bytes jpeg(const pace::Image& image, int subsampling, int flags) {
  const tjhandle encoder = tjInitCompress();
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  const int status =
      tjCompress2(encoder, image.data_ptr<uint8_t>(), static_cast<int>(image.size(1)), 0,
                  static_cast<int>(image.size(0)), image.size(2) == 1 ? TJPF_GRAY : TJPF_RGB,
                  &buffer, &size, subsampling, 80, flags);
  const Bytes bytes = status == 0 ? Bytes(buffer, buffer + size) : Bytes();
  tjFree(buffer);
  tjDestroy(encoder);
  if (bytes.empty()) pace::fail("cannot make a JPEG seed");
  return bytes;
}

void write_images(const path& folder) {
  write(folder / "grey.png", pace::encode_png(scene(1)));
  write(folder / "rgb.png", pace::encode_png(scene(3)));
  write(folder / "grey.jpg", jpeg(scene(1), TJSAMP_GRAY, 0));
  write(folder / "rgb.jpg", jpeg(scene(3), TJSAMP_420, 0));
  write(folder / "progressive.jpg", jpeg(scene(3), TJSAMP_444, TJFLAG_PROGRESSIVE));
}

Bytes gzip(const Bytes& plain) {
  constexpr int kGzip = 16 + MAX_WBITS, kMemory = 8;
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY);
  Bytes packed(deflateBound(&stream, plain.size()));
  stream.next_in = const_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

void write_idx(const path& folder) {
  const Bytes labels = {0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9};
  const Bytes images = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4};
  write(folder / "labels", labels);
  write(folder / "images", images);
  write(folder / "labels.gz", gzip(labels));
  write(folder / "images.gz", gzip(images));
}

void write_json(const path& folder) {
  const pace::json config = {{"model_type", "vit"},
                             {"hidden_size", 192},
                             {"layer_norm_eps", 1e-12},
                             {"qkv_bias", true},
                             {"id2label", {{"0", "cat"}, {"1", "dög"}}},
                             {"image_mean", {0.5, 0.5, 0.5}},
                             {"none", nullptr}};
  pace::fs::create_directories(folder);
  pace::write_text(folder / "config.json", pace::json_text(config, "seed"));
  pace::write_text(folder / "empty.json", "{}");
}

void write_weights(const path& folder) {
  pace::fs::create_directories(folder);
  pace::write_safetensors(folder / "small", {{"w", at::ones({2, 3})}});
  pace::write_safetensors(folder / "mixed",
                          {{"a", at::ones({2}, at::kBFloat16)},
                           {"b", at::ones({}, at::kLong)},
                           {"c", at::ones({0, 4}, at::kBool)}},
                          {{"format", "pt"}});
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  const path folder = arguments[1];
  write_images(folder / "image");
  write_idx(folder / "idx");
  write_json(folder / "json");
  write_weights(folder / "safetensors");
}
