#include "pace/io/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using testing::HasSubstr;
using Bytes = std::vector<uint8_t>;

Bytes gzip(const Bytes& plain) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  Bytes packed(deflateBound(&stream, plain.size()));
  stream.next_in = const_cast<uint8_t*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// An IDX file of the given dimensions whose data count 0, 1, 2, ...
Bytes idx(const std::vector<uint32_t>& dimensions, size_t size) {
  Bytes bytes = {0, 0, 8, static_cast<uint8_t>(dimensions.size())};
  for (uint32_t dimension : dimensions)
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes.push_back(static_cast<uint8_t>(dimension >> shift));
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(i));
  return bytes;
}

std::string error_in(const Bytes& bytes) {
  return error_of([&] { decode_idx(bytes, "train.idx"); });
}

Bytes first(Bytes bytes, size_t size) {
  bytes.resize(size);
  return bytes;
}

TEST(Idx, ReadsPlainAndGzipped) {
  const at::Tensor expected = at::arange(24, at::kByte).reshape({2, 3, 4});
  EXPECT_TRUE(decode_idx(idx({2, 3, 4}, 24), "x").equal(expected));
  EXPECT_TRUE(decode_idx(gzip(idx({2, 3, 4}, 24)), "x").equal(expected));
  TemporaryFolder folder;
  const Bytes packed = gzip(idx({300, 1000}, 300'000));
  write_text(folder / "data.gz", {reinterpret_cast<const char*>(packed.data()), packed.size()});
  const at::Tensor loaded = load_idx(folder / "data.gz");
  EXPECT_TRUE(loaded.flatten().equal(at::arange(300'000).remainder(256).to(at::kByte)));
  EXPECT_EQ(decode_idx(idx({0, 28, 28}, 0), "x").sizes(), (at::IntArrayRef{0, 28, 28}));
}

TEST(Idx, RefusesWrongHeaders) {
  EXPECT_THAT(error_in({}), HasSubstr("train.idx: truncated"));
  EXPECT_THAT(error_in({0, 0, 8}), HasSubstr("truncated"));
  EXPECT_THAT(error_in({1, 0, 8, 1}), HasSubstr("begins with bytes 01 00"));
  EXPECT_THAT(error_in({0, 0, 0x0d, 1}), HasSubstr("element type 0x0d"));
  EXPECT_THAT(error_in({0, 0, 8, 0}), HasSubstr("0 IDX dimensions"));
  EXPECT_THAT(error_in({0, 0, 8, 9}), HasSubstr("9 IDX dimensions"));
  EXPECT_THAT(error_in({0, 0, 8, 2, 0, 0, 0, 1, 0}), HasSubstr("truncated"));
  EXPECT_THAT(error_in(idx({1u << 31, 1u << 31, 1u << 31}, 0)), HasSubstr("overflow"));
}

TEST(Idx, RefusesWrongLengths) {
  EXPECT_THAT(error_in(idx({5}, 4)), HasSubstr("need 5 bytes"));
  EXPECT_THAT(error_in(idx({5}, 6)), HasSubstr("1 bytes more"));
  EXPECT_THAT(error_in(gzip(idx({5}, 4))), HasSubstr("end 1 bytes early"));
  EXPECT_THAT(error_in(gzip(idx({5}, 6))), HasSubstr("more data than"));
}

TEST(Idx, RefusesPromisesThatCannotBeKept) {
  // Terabytes from a few bytes: refused before they are allocated.
  EXPECT_THAT(error_in(idx({1u << 31, 1u << 20}, 10)), HasSubstr("more than can follow"));
  EXPECT_THAT(error_in(gzip(idx({1u << 31, 1u << 20}, 10))), HasSubstr("more than can follow"));
}

TEST(Idx, RefusesBrokenGzip) {
  const Bytes packed = gzip(idx({100}, 100));
  EXPECT_EQ(error_in(packed), "(no error)");
  for (size_t size = 0; size < packed.size(); ++size)
    EXPECT_NE(error_in(first(packed, size)), "(no error)") << size;
  Bytes flipped = packed;
  flipped[packed.size() - 6] ^= 1;  // the checksum
  EXPECT_THAT(error_in(flipped), HasSubstr("corrupt gzip data: incorrect data check"));
  Bytes extra = packed;
  extra.push_back(0);
  EXPECT_THAT(error_in(extra), HasSubstr("1 bytes after"));
}

}  // namespace
}  // namespace pace
