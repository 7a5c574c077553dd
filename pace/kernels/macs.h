#pragma once

#include <cstdint>

namespace pace::kernels {

/// Multiply-accumulates done so far, counted by the kernels themselves while they run from the
/// sizes they were really called with. The tests hold the Ledger's figures against it.
struct MacCounter {
  int64_t macs = 0;
};

}  // namespace pace::kernels
