#include "pace/kernels/cpu.h"

#define PACE_LANES 8
#define PACE_TILE 6
#define PACE_DEPTH 192
#include "pace/kernels/cpu_kernels.inc"

namespace pace::kernels {

CpuKernels cpu_avx2(bool bfloat16) { return kernels_for(bfloat16); }

}  // namespace pace::kernels
