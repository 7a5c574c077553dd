#pragma once

#include <gtest/gtest.h>

#include <string>

#include "pace/io/safetensors.h"
#include "tests/models/small_models.h"
#include "tests/reference.h"

namespace pace::testing_models {

/// Calls check(case, inputs, expected logits) for all inputs that the reference saved for a model.
template <class Check>
void each_case(const std::string& topic, const std::string& name, const Check& check) {
  const SafetensorsFile file(reference(topic) / (name + ".safetensors"));
  int compared = 0;
  for (const TensorInfo& info : file.header().tensors) {
    if (!info.name.starts_with("inputs.")) continue;
    const std::string which = info.name.substr(7);
    check(which, file.tensor(info.name), file.tensor("logits." + which));
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

/// The reference's logits within 1e-4, by our own kernels and by LibTorch's operations, and all
/// MACs of the dense model counted.
inline void expect_parity(const std::string& topic, const std::string& name) {
  const LoadedModel loaded = load_model(reference(topic) / name);
  each_case(topic, name,
            [&](const std::string& which, const Tensor& inputs, const Tensor& expected) {
              double macs = 0.0;
              const Tensor logits = logits_of(*loaded.model, inputs, &macs);
              ASSERT_EQ(logits.sizes(), expected.sizes());
              EXPECT_LT((logits - expected).abs().max().item<double>(), 1e-4) << which;
              const Tensor rows = expected.flatten(0, -2);
              if (rows.size(0) > 1) {
                EXPECT_GT(rows.std(0).mean().item<double>(), 0.02) << "too alike to tell errors";
              }
              EXPECT_EQ(macs, loaded.model->dense_macs(inputs).sum().item<double>()) << which;
              Pass training;
              training.form = Form::kRelaxed;
              const Tensor differentiable = loaded.model->forward(inputs, training);
              EXPECT_LT((differentiable - expected).abs().max().item<double>(), 1e-4) << which;
              // Texts that have ended are computed with the others in training.
              if (inputs.is_floating_point()) {
                EXPECT_EQ(static_cast<double>(training.context.macs), macs);
              }
            });
}

}  // namespace pace::testing_models
