#pragma once

#include <gtest/gtest.h>

#include <string>

#include "pace/io/safetensors.h"
#include "tests/reference.h"

namespace pace::testing_models {

/// Calls check(size, pixels, expected logits) for every size of pictures that the reference saved
/// for a case of its model.
template <class Check>
void each_size(const std::string& topic, const std::string& name, const Check& check) {
  const SafetensorsFile file(reference(topic) / (name + ".safetensors"));
  int compared = 0;
  for (const TensorInfo& info : file.header().tensors) {
    if (!info.name.starts_with("pixels.")) continue;
    const std::string size = info.name.substr(7);
    check(size, file.tensor(info.name), file.tensor("logits." + size));
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

}  // namespace pace::testing_models
