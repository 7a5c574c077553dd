#include <immintrin.h>

#include "pace/kernels/ragged_block.h"

#define PACE_LANES 16
#define PACE_TILE 12
#include "pace/kernels/ragged_tile.inc"

namespace pace::kernels {

RaggedKernel ragged_avx512(bool bfloat16) { return kernel_for(bfloat16); }

}  // namespace pace::kernels
