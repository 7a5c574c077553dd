#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>

#include "pace/base/files.h"

namespace pace {

/// Parses an IDX file (the MNIST family's format: magic, big-endian dimensions, data) of unsigned
/// bytes, plain or gzipped, into a uint8 tensor of its shape. Throws Error naming `where` when the
/// magic, the element type, the dimensions or the length are wrong or the compressed stream is
/// broken.
at::Tensor decode_idx(std::span<const uint8_t> bytes, const std::string& where);
at::Tensor load_idx(const fs::path& path);

}  // namespace pace
