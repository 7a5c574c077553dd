#include <immintrin.h>

#include "pace/kernels/cpu.h"

#define PACE_LANES 16
#define PACE_TILE 12
#define PACE_DEPTH 128
#include "pace/kernels/cpu_attention.inc"
#include "pace/kernels/cpu_conv.inc"
#include "pace/kernels/cpu_gate.inc"
#include "pace/kernels/cpu_matrix.inc"

namespace pace::kernels {

CpuKernels cpu_amx() {
  using Type = MatrixBfloat16;
  CpuKernels kernels = cpu_avx512(/*bfloat16=*/true);
  kernels.tile = Type::kTogether;
  kernels.most_rows = Type::kMostRows;
  kernels.step = Type::kStep;
  kernels.depth = kDepth;
  kernels.product = product<Type>;
  kernels.product_scratch = product_scratch<Type>;
  kernels.convolution = convolution<Type>;
  kernels.convolution_scratch = convolution_scratch<Type>;
  kernels.learners = learners<Type>;
  kernels.dense_last = dense_last<Type>;
  kernels.ragged_scratch = ragged_scratch<Type>;
  kernels.gate = gate<Type>;
  kernels.gate_scratch = gate_scratch<Type>;
  kernels.attention = attention<Type>;
  kernels.attention_scratch = attention_scratch<Type>;
  return kernels;
}

}  // namespace pace::kernels
