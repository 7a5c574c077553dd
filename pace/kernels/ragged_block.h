#pragma once

#include <cstdint>

namespace pace::kernels {

/// What is read and written by all blocks of one call. Pointers and numbers only: the sources that
/// see it are compiled for instruction sets the machine may lack, where no inline function of a
/// library may be instantiated.
struct RaggedCall {
  const float* x = nullptr;  ///< [rows, in]
  float* out = nullptr;      ///< [rows, out]
  int64_t in = 0, out_width = 0;
  const int64_t* order = nullptr;   ///< of the rows by falling k
  const int32_t* choice = nullptr;  ///< [rows] k in that order
  int64_t learner_width = 0;
  const void* in_weight = nullptr;   ///< packed panels of hidden units
  const float* in_bias = nullptr;    ///< as many as the panels have columns
  const void* out_weight = nullptr;  ///< packed panels of outputs
  int64_t hidden_words = 0;          ///< depth of an output panel
  const float* offsets = nullptr;    ///< [most+1, out_width]
  bool gelu = false;
  const void* dense_weight = nullptr;  ///< packed panels of outputs
};

/// The kernel of one instruction set and type.
struct RaggedKernel {
  int64_t panel = 0;      ///< columns of a packed panel
  int64_t tile = 0;       ///< rows computed together
  int64_t most_rows = 0;  ///< of a block
  int64_t pack = 0;       ///< inputs in a packed word of four bytes: 1 of float32 or 2 of bfloat16
  /// Floats of scratch that a block of `rows` needs, aligned to 64 bytes.
  int64_t (*scratch)(const RaggedCall& call, int64_t rows) = nullptr;
  /// Computes rows [first, first + rows) of the order by their learners ...
  void (*block)(const RaggedCall& call, int64_t first, int64_t rows, float* scratch) = nullptr;
  /// ... or by the dense map.
  void (*dense_block)(const RaggedCall& call, int64_t first, int64_t rows,
                      float* scratch) = nullptr;
};

RaggedKernel ragged_plain(bool bfloat16);
RaggedKernel ragged_avx2(bool bfloat16);
RaggedKernel ragged_avx512(bool bfloat16);

}  // namespace pace::kernels
