#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace pace::kernels {

/// Instruction sets that kernels are compiled for, from the one every machine has upwards.
enum class Isa { kPlain, kAvx2, kAvx512, kAmx };
Isa best_isa();  ///< of this machine

/// How the kernels of one pass run, and what they did.
struct Context {
  /// Multiply-accumulates done so far, counted by the kernels themselves while they run from the
  /// sizes they were really called with. The tests hold the Ledger's figures against it.
  int64_t macs = 0;
  /// Of the factors of the products when there is nothing to differentiate, on the CPU: float32, or
  /// bfloat16 for speed. Weights and activations are float32 in memory and sums are float32.
  at::ScalarType type = at::kFloat;
  Isa isa = best_isa();  ///< that they run on
};

}  // namespace pace::kernels
