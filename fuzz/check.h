#pragma once

#include <cstdlib>

/// Ends the process where `condition` fails, in every kind of build: the fuzzer keeps the input.
inline void check(bool condition) {
  if (!condition) std::abort();
}
