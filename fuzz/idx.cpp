#include "pace/io/idx.h"

#include "fuzz/check.h"
#include "pace/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const at::Tensor tensor = pace::decode_idx({data, size}, "input");
    check(tensor.scalar_type() == at::kByte && tensor.dim() >= 1);
  } catch (const pace::Error&) {
    // Refusing is right; crashing, or any other exception, is not.
  }
  return 0;
}
