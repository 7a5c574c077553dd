#include "pace/kernels/isa.h"

#include <algorithm>

#include "pace/base/error.h"

namespace pace::kernels {

std::string to_string(Isa isa) {
  return isa == Isa::kAvx512 ? "avx512" : isa == Isa::kAvx2 ? "avx2" : "plain";
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas{Isa::kPlain};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    isas.push_back(Isa::kAvx2);
    // Those with AVX-512 but without its bfloat16 products run AVX2.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16")) {
      isas.push_back(Isa::kAvx512);
    }
  }
#endif
  return isas;
}

Isa best_isa() { return available_isas().back(); }

CpuKernels cpu_kernels(const Context& context) {
  const Isa isa = context.isa;
  const at::ScalarType type = context.type;
  const std::vector<Isa> available = available_isas();
  if (std::find(available.begin(), available.end(), isa) == available.end()) {
    fail("this machine has no {}", to_string(isa));
  }
  if (type != at::kFloat && type != at::kBFloat16) {
    fail("products of type {}; there are kernels for float32 and bfloat16", c10::toString(type));
  }
  const bool bfloat16 = type == at::kBFloat16;
#ifdef __x86_64__
  if (isa == Isa::kAvx512) return cpu_avx512(bfloat16);
  if (isa == Isa::kAvx2) return cpu_avx2(bfloat16);
#endif
  return cpu_plain(bfloat16);
}

}  // namespace pace::kernels
