#include "pace/io/idx.h"

#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "pace/base/error.h"

namespace pace {
namespace {

constexpr size_t kMagicBytes = 4, kDimensionBytes = 4;
constexpr uint8_t kUnsignedByte = 0x08;
constexpr size_t kMaxDimensions = 8;
// Deflate cannot do better than 258 bytes for 2 bits; a header that promises more is a lie, found
// before memory is taken for it.
constexpr uint64_t kMaxRatio = 1032;

/// Where the bytes of the IDX format come from: as they are, or out of a gzip stream.
class Source {
 public:
  virtual ~Source() = default;
  /// The next `size` bytes; Error when there are fewer.
  virtual void read(uint8_t* out, size_t size) = 0;
  /// Error when anything follows.
  virtual void finish() = 0;
  /// The most bytes that can still come.
  virtual uint64_t limit() const = 0;
};

class PlainSource : public Source {
 public:
  PlainSource(std::span<const uint8_t> bytes, const std::string& where)
      : rest_(bytes), where_(where) {}

  void read(uint8_t* out, size_t size) override {
    if (size > rest_.size())
      fail("{}: truncated: {} bytes are needed, {} are left", where_, size, rest_.size());
    std::copy_n(rest_.data(), size, out);
    rest_ = rest_.subspan(size);
  }
  void finish() override {
    if (!rest_.empty()) fail("{}: {} bytes more than its dimensions say", where_, rest_.size());
  }
  uint64_t limit() const override { return rest_.size(); }

 private:
  std::span<const uint8_t> rest_;
  const std::string& where_;
};

class GzipSource : public Source {
 public:
  GzipSource(std::span<const uint8_t> bytes, const std::string& where)
      : rest_(bytes), where_(where) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) fail("{}: cannot start to decompress", where_);
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  void read(uint8_t* out, size_t size) override {
    while (size > 0) {
      const size_t got = step(out, size);
      if (got == 0) fail("{}: truncated: the compressed data end {} bytes early", where_, size);
      out += got;
      size -= got;
    }
  }
  void finish() override {
    uint8_t extra = 0;
    if (step(&extra, 1) != 0) fail("{}: more data than its dimensions say", where_);
    if (!ended_) fail("{}: truncated: the compressed stream does not end", where_);
    if (!rest_.empty()) fail("{}: {} bytes after the compressed stream", where_, rest_.size());
  }
  uint64_t limit() const override { return rest_.size() * kMaxRatio; }

 private:
  /// Decompresses until `size` bytes came (zlib counts in 32 bits, hence the chunks), the stream
  /// ended, or the input is used up. Returns how many bytes came.
  size_t step(uint8_t* out, size_t size) {
    constexpr size_t kChunk = 1 << 30;
    const size_t wanted = std::min(size, kChunk);
    stream_.next_out = out;
    stream_.avail_out = static_cast<uInt>(wanted);
    while (!ended_ && stream_.avail_out > 0) {
      const size_t given = std::min(rest_.size(), kChunk);
      stream_.next_in = const_cast<Bytef*>(rest_.data());
      stream_.avail_in = static_cast<uInt>(given);
      const int status = inflate(&stream_, Z_NO_FLUSH);
      rest_ = rest_.subspan(given - stream_.avail_in);
      ended_ = status == Z_STREAM_END;
      if (status == Z_BUF_ERROR) break;  // nothing left to read
      if (status != Z_OK && status != Z_STREAM_END)
        fail("{}: corrupt gzip data: {}", where_, stream_.msg ? stream_.msg : zError(status));
    }
    return wanted - stream_.avail_out;
  }

  z_stream stream_{};
  std::span<const uint8_t> rest_;
  const std::string& where_;
  bool ended_ = false;
};

at::Tensor decode(Source& source, const std::string& where) {
  std::array<uint8_t, kMagicBytes> magic{};
  source.read(magic.data(), magic.size());
  if (magic[0] != 0 || magic[1] != 0)
    fail("{}: not an IDX file: it begins with bytes {:02x} {:02x}, not 00 00", where, magic[0],
         magic[1]);
  if (magic[2] != kUnsignedByte)
    fail("{}: IDX element type 0x{:02x}; only unsigned bytes (0x08) are supported", where,
         magic[2]);
  if (magic[3] < 1 || magic[3] > kMaxDimensions)
    fail("{}: {} IDX dimensions; 1 to {} are supported", where, magic[3], kMaxDimensions);
  std::vector<int64_t> shape;
  int64_t total = 1;
  for (int i = 0; i < magic[3]; ++i) {
    std::array<uint8_t, kDimensionBytes> big_endian{};
    source.read(big_endian.data(), big_endian.size());
    int64_t dimension = 0;
    for (uint8_t byte : big_endian) dimension = dimension << 8 | byte;
    shape.push_back(dimension);
    // As with strides, a 0 counts as 1 here.
    if (__builtin_mul_overflow(total, std::max<int64_t>(dimension, 1), &total))
      fail("{}: IDX dimensions [{}] overflow", where, fmt::join(shape, ", "));
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) total = 0;
  if (static_cast<uint64_t>(total) > source.limit())
    fail("{}: truncated: IDX dimensions [{}] need {} bytes, more than can follow", where,
         fmt::join(shape, ", "), total);
  at::Tensor data = at::empty(shape, at::kByte);
  source.read(data.data_ptr<uint8_t>(), static_cast<size_t>(total));
  source.finish();
  return data;
}

}  // namespace

at::Tensor decode_idx(std::span<const uint8_t> bytes, const std::string& where) {
  if (bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
    GzipSource source(bytes, where);
    return decode(source, where);
  }
  PlainSource source(bytes, where);
  return decode(source, where);
}

at::Tensor load_idx(const fs::path& path) {
  return decode_idx(read_bytes(path), fmt::format("'{}'", path.string()));
}

}  // namespace pace
