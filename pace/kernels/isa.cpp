#include "pace/kernels/isa.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>

#include "pace/base/error.h"

namespace pace::kernels {

namespace {

#ifdef __x86_64__
/// Linux gives a process the room to keep the matrix unit's registers only when it is asked to.
bool may_use_amx() {
#ifdef __linux__
  static const bool may = [] {
    constexpr unsigned kBfloat16 = 1U << 22, kTiles = 1U << 24;  // of leaf 7, in edx
    constexpr long kAskFor = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kBfloat16) != 0 &&
           (d & kTiles) != 0 && syscall(SYS_arch_prctl, kAskFor, kTileData) == 0;
  }();
  return may;
#else
  return false;
#endif
}
#endif

}  // namespace

std::string to_string(Isa isa) {
  constexpr std::array kNames{"plain", "avx2", "avx512", "amx"};
  return kNames.at(static_cast<size_t>(isa));
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
      if (may_use_amx()) isas.push_back(Isa::kAmx);
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
  if (isa == Isa::kAmx && bfloat16) return cpu_amx();
  if (isa >= Isa::kAvx512) return cpu_avx512(bfloat16);
  if (isa == Isa::kAvx2) return cpu_avx2(bfloat16);
#endif
  return cpu_plain(bfloat16);
}

}  // namespace pace::kernels
