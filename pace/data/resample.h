#pragma once

#include <cstdint>
#include <vector>

#include "pace/io/image.h"

namespace pace {

enum class Filter { kBilinear, kBicubic };

/// Resizes as Image.resize of Pillow 13 does, bit for bit: the filter widens when shrinking
/// (antialiasing), and each of the two passes rounds to bytes. One or three channels. Runs in the
/// calling thread only. Throws Error when the result would have no pixels or more than 2^28.
Image resample(const Image& image, int64_t height, int64_t width, Filter filter);

/// The window of `height` x `width` pixels whose first pixel is (top, left) of the picture. What
/// lies beyond the picture has the colour `background` (a byte per channel), black when that is
/// empty. Runs in the calling thread only.
Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width,
           const std::vector<uint8_t>& background = {});

}  // namespace pace
