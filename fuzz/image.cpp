#include "pace/io/image.h"

#include "fuzz/check.h"
#include "pace/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const pace::Image image = pace::decode_image({data, size}, "input");
    check(image.dim() == 3 && image.numel() > 0 && (image.size(2) == 1 || image.size(2) == 3));
  } catch (const pace::Error&) {
    // Refusing is right; crashing, or any other exception, is not.
  }
  return 0;
}
