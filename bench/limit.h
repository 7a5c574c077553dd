#pragma once

#include <cstdint>

/// Does multiply-adds on registers alone, as wide as this machine has them, of float32 or of pairs
/// of bfloat16 (float32 where there is no such instruction). Returns how many.
int64_t multiply_adds(bool bfloat16);
