#include "pace/io/safetensors.h"

#include "fuzz/check.h"
#include "pace/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const pace::SafetensorsHeader header = pace::parse_safetensors_header(bytes, size, "input");
    uint64_t reached = 0;
    for (const pace::TensorInfo& tensor : header.tensors) {
      check(tensor.begin == reached);
      reached = tensor.end;
      // The shape must be one that LibTorch takes, and no larger than the bytes it stands for.
      const at::Tensor meta = at::empty(tensor.shape, at::device(at::kMeta).dtype(tensor.dtype));
      check(meta.nbytes() == tensor.end - tensor.begin);
    }
    check(header.data_offset + reached == size);
  } catch (const pace::Error&) {
    // Refusing is right; crashing, or any other exception, is not.
  }
  return 0;
}
