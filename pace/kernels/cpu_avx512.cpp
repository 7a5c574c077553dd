#include <immintrin.h>

#include "pace/kernels/cpu.h"

#define PACE_LANES 16
#define PACE_TILE 12
#define PACE_DEPTH 192
#include "pace/kernels/cpu_kernels.inc"

namespace pace::kernels {

CpuKernels cpu_avx512(bool bfloat16) { return kernels_for(bfloat16); }

}  // namespace pace::kernels
