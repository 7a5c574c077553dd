#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>

#include "pace/base/files.h"

namespace pace {

/// An image: uint8 [height, width, channels], channels 1 (grey) or 3 (RGB).
using Image = at::Tensor;

/// Decodes a JPEG or PNG (told apart by content, not by name). Grey files give one channel, others
/// three; alpha is dropped, 16-bit samples are reduced to 8, CMYK JPEGs are refused. Throws Error
/// naming `where` for anything truncated, corrupt, of another kind, or over 2^28 pixels.
Image decode_image(std::span<const uint8_t> bytes, const std::string& where);
Image load_image(const fs::path& path);

/// PNG bytes of an image (for the report).
std::vector<uint8_t> encode_png(const Image& image);

/// [h, w, 1] or [h, w, 3] to the given number of channels; RGB to grey by ITU-R 601 luma, as PIL
/// does.
Image with_channels(const Image& image, int64_t channels);

}  // namespace pace
