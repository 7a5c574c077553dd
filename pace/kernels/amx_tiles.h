#pragma once

#include <immintrin.h>

#include <cstdint>

// For translation units compiled for the matrix unit (AMX) alone.

namespace pace::kernels {

/// The shapes of the matrix unit's eight registers, as the processor reads them: whole ones, of 16
/// rows of 64 bytes.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// The unit is set up for whole registers, and given back.
class TileSession {
 public:
  TileSession() {
    static constexpr TileShapes kShapes;
    _tile_loadconfig(&kShapes);
  }
  ~TileSession() { _tile_release(); }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;
};

}  // namespace pace::kernels
