#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pace/kernels/isa.h"

namespace pace::kernels {

inline at::Generator seeded(uint64_t seed) {
  return at::make_generator<at::CPUGeneratorImpl>(seed);
}

/// Every instruction set of this machine with every type of product.
inline std::vector<Context> contexts_here() {
  std::vector<Context> contexts;
  for (const Isa isa : available_isas()) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      contexts.push_back({.type = type, .isa = isa});
    }
  }
  return contexts;
}

inline std::string context_name(const ::testing::TestParamInfo<Context>& named) {
  return to_string(named.param.isa) + (named.param.type == at::kFloat ? "_float" : "_bfloat16");
}

}  // namespace pace::kernels
