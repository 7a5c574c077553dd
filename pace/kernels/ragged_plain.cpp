#include "pace/kernels/ragged_block.h"

#define PACE_LANES 4
#define PACE_TILE 4
#include "pace/kernels/ragged_tile.inc"

namespace pace::kernels {

RaggedKernel ragged_plain(bool bfloat16) { return kernel_for(bfloat16); }

}  // namespace pace::kernels
