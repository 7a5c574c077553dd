#pragma once

#include <string>
#include <vector>

namespace pace::kernels {

/// Instruction sets that kernels are compiled for, from the one every machine has upwards.
enum class Isa { kPlain, kAvx2, kAvx512 };
std::string to_string(Isa isa);  ///< "plain", "avx2", "avx512"

/// Those this machine has, in that order.
std::vector<Isa> available_isas();
Isa best_isa();

}  // namespace pace::kernels
