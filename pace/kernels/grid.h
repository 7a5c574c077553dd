#pragma once

#include <cstdint>

namespace pace::kernels {

/// Where the positions of feature maps lie: they are rows of one matrix, picture by picture, each
/// line by line.
struct Grid {
  int64_t pictures = 0, lines = 0, columns = 0;

  int64_t positions() const { return lines * columns; }  ///< of a picture
  int64_t rows() const { return pictures * positions(); }
  /// Every `stride`-th position of every `stride`-th line, from the first.
  Grid strided(int64_t stride) const {
    return {pictures, (lines + stride - 1) / stride, (columns + stride - 1) / stride};
  }
};

}  // namespace pace::kernels
