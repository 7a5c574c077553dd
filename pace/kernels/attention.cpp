#include "pace/kernels/attention.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

#include "pace/kernels/dense.h"
#include "pace/kernels/isa.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

namespace {

/// LibTorch's fused attention on CPU calls a small matrix product per head and image in its
/// backward pass, and in bfloat16 each call builds a oneDNN primitive: five times the time of the
/// plain batched products.
bool plain_is_faster(const Tensor& query) {
  return query.is_cpu() && at::GradMode::is_enabled() &&
         (query.scalar_type() == at::kBFloat16 || at::autocast::is_autocast_enabled(at::kCPU));
}

Tensor plain_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                       const std::optional<Tensor>& mask) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
  Tensor scores = at::matmul(query * scale, key.transpose(-1, -2));
  if (mask) scores = scores.masked_fill(~*mask, -std::numeric_limits<float>::infinity());
  return at::matmul(at::softmax(scores, -1), value);
}

Tensor by_tensor_operations(const Tensor& query, const Tensor& key, const Tensor& value,
                            int64_t heads, const Sequences& sequences) {
  const auto apart = [&](const Tensor& x) {
    return sequences.pad(x).unflatten(-1, {heads, -1}).transpose(1, 2);
  };
  std::optional<Tensor> mask;
  if (!sequences.of_equal_length()) {
    mask = sequences.valid().to(query.device()).unsqueeze(1).unsqueeze(1);
  }
  const Tensor mixed =
      plain_is_faster(query)
          ? plain_attention(apart(query), apart(key), apart(value), mask)
          : at::scaled_dot_product_attention(apart(query), apart(key), apart(value), mask);
  return sequences.unpad(mixed.transpose(1, 2).flatten(2));
}

}  // namespace

Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, int64_t heads,
                 const Sequences& sequences, Context& context) {
  const int64_t dim = query.size(1);
  for (int64_t i = 0; i < sequences.count(); ++i) {
    // Scores: queries x keys x dim; the weighted sum of the values: as much again.
    context.macs += 2 * sequences.length(i) * sequences.length(i) * dim;
  }
  if (!runs_own_kernels(query)) return by_tensor_operations(query, key, value, heads, sequences);

  const Tensor q = query.contiguous(), k = key.contiguous(), v = value.contiguous();
  Tensor out = at::empty_like(q);
  AttentionCall all;
  all.tokens = sequences.longest();
  all.head_dim = dim / heads;
  all.stride = dim;
  all.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(all.head_dim)));
  const CpuKernels kernels = cpu_kernels(context);
  const int64_t tasks = sequences.count() * heads;
  run_tasks(tasks, kernels.attention_scratch(all), [&](int64_t task, float* scratch) {
    const int64_t sequence = task / heads;
    const int64_t begin = sequences.begin(sequence) * dim + task % heads * all.head_dim;
    AttentionCall call = all;
    call.tokens = sequences.length(sequence);
    if (call.tokens == 0) return;
    call.query = q.const_data_ptr<float>() + begin;
    call.key = k.const_data_ptr<float>() + begin;
    call.value = v.const_data_ptr<float>() + begin;
    call.out = out.mutable_data_ptr<float>() + begin;
    kernels.attention(call, scratch);
  });
  return out;
}

}  // namespace pace::kernels
