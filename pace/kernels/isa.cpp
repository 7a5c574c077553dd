#include "pace/kernels/isa.h"

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

}  // namespace pace::kernels
