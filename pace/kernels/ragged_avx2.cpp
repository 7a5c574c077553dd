#include "pace/kernels/ragged_block.h"

#define PACE_LANES 8
#define PACE_TILE 6
#include "pace/kernels/ragged_tile.inc"

namespace pace::kernels {

RaggedKernel ragged_avx2(bool bfloat16) { return kernel_for(bfloat16); }

}  // namespace pace::kernels
