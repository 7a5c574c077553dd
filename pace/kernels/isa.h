#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "pace/kernels/context.h"
#include "pace/kernels/cpu.h"

namespace pace::kernels {

std::string to_string(Isa isa);  ///< "plain", "avx2", "avx512", "amx"

/// Those this machine has, in that order. The first call asks Linux for AMX's registers, for the
/// whole process.
std::vector<Isa> available_isas();
/// The kernels that a context asks for. Throws Error when this machine lacks the instruction set,
/// or when there are none for the type.
CpuKernels cpu_kernels(const Context& context);

}  // namespace pace::kernels
