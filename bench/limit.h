#pragma once

#include <cstdint>

/// Does multiply-adds on registers alone, as wide as this machine has them, of float32 or of pairs
/// of bfloat16 (float32 where there is no such instruction), the latter by the matrix unit if the
/// process may use it. Returns how many.
int64_t multiply_adds(bool bfloat16, bool matrix);
