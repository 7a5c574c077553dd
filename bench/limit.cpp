#include "bench/limit.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif
#ifdef __AMX_BF16__
#include "pace/kernels/amx_tiles.h"
#endif

namespace {

constexpr int kSums = 24;  // enough that no sum waits for itself
constexpr int64_t kRounds = 1 << 16;

#ifdef __AVX512F__
constexpr int kLanes = 16;
#else
constexpr int kLanes = 8;
#endif
using V = float __attribute__((vector_size(4 * kLanes)));

template <class Add>
int64_t repeat(int64_t macs, const Add& add) {
  V sums[kSums] = {};
  for (V& sum : sums) asm volatile("" : "+m"(sum));  // not known to be equal
  for (int64_t i = 0; i < kRounds; ++i) {
#pragma GCC unroll 24
    for (int s = 0; s < kSums; ++s) sums[s] = add(sums[s]);
  }
  for (V& sum : sums) asm volatile("" : : "m"(sum));
  return kRounds * kSums * macs;
}

#ifdef __AMX_BF16__
/// The matrix unit's, on four sums of 16 x 16.
int64_t repeat_matrix() {
  const pace::kernels::TileSession session;
  alignas(64) float numbers[16 * 16];
  for (float& number : numbers) number = 1e-3F;
  asm volatile("" : "+m"(numbers));
  _tile_loadd(4, numbers, 64);
  _tile_loadd(5, numbers, 64);
  _tile_loadd(6, numbers, 64);
  _tile_loadd(7, numbers, 64);
  for (int64_t i = 0; i < kRounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  constexpr int64_t kMacs = 16 * 16 * 32;
  return kRounds * 4 * kMacs;
}
#endif

}  // namespace

int64_t multiply_adds([[maybe_unused]] bool bfloat16, [[maybe_unused]] bool matrix) {
  V number = V{} + 1e-9F;
  asm volatile("" : "+m"(number));
#ifdef __AMX_BF16__
  if (bfloat16 && matrix) return repeat_matrix();
#endif
#ifdef __AVX512BF16__
  if (bfloat16) {
    const auto pairs = (__m512bh)number;
    return repeat(2 * kLanes,
                  [=](V sum) { return (V)_mm512_dpbf16_ps((__m512)sum, pairs, pairs); });
  }
#endif
  return repeat(kLanes, [=](V sum) { return sum + number * number; });
}
