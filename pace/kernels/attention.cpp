#include "pace/kernels/attention.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <optional>

#include "pace/base/error.h"
#include "pace/kernels/dense.h"
#include "pace/kernels/isa.h"
#include "pace/kernels/panels.h"
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

/// bool, true where a query sees a key: [count or 1, 1, longest or 1, longest]. Nothing where all
/// do.
std::optional<Tensor> visible(const Sequences& sequences, bool causal) {
  std::optional<Tensor> mask;
  if (!sequences.of_equal_length()) mask = sequences.valid().unsqueeze(1).unsqueeze(1);
  if (!causal) return mask;
  const Tensor before = at::ones({sequences.longest(), sequences.longest()}, at::kBool).tril();
  return mask ? *mask & before : before;
}

Tensor by_tensor_operations(const Tensor& query, const Tensor& key, const Tensor& value,
                            const Heads& heads, const Sequences& sequences) {
  const auto apart = [&](const Tensor& x, int64_t count) {
    return sequences.pad(x).unflatten(-1, {count, -1}).transpose(1, 2);
  };
  const auto shared = [&](const Tensor& x) {
    const Tensor own = apart(x, heads.keys);
    return heads.count == heads.keys ? own : own.repeat_interleave(heads.count / heads.keys, 1);
  };
  const Tensor q = apart(query, heads.count), k = shared(key), v = shared(value);
  std::optional<Tensor> mask = visible(sequences, heads.causal);
  if (mask) mask = mask->to(query.device());
  const Tensor mixed = plain_is_faster(query) ? plain_attention(q, k, v, mask)
                                              : at::scaled_dot_product_attention(q, k, v, mask);
  return sequences.unpad(mixed.transpose(1, 2).flatten(2));
}

/// How the packed keys and values of one head lie.
struct Packing {
  const CpuKernels& kernels;
  int64_t width;  ///< of a head

  int64_t words(int64_t count) const {
    return round_up(count, kernels.pack * kernels.step) / kernels.pack;
  }
  int64_t value_panels() const { return round_up(width, kernels.panel) / kernels.panel; }
  int64_t key_floats(int64_t room) const { return room * words(width); }
  int64_t value_floats(int64_t room) const { return value_panels() * words(room) * kernels.panel; }
};

void make_room(KeyValues& memory, int64_t tokens, int64_t heads, const Packing& packing) {
  if (tokens <= memory.room) return;
  const int64_t panel = packing.kernels.panel;
  // A quarter more than needed, so that growing costs little for each token.
  const int64_t room = round_up(tokens + tokens / 4, panel);
  const Tensor keys = at::empty({heads, room / panel, packing.words(packing.width), panel});
  const Tensor values = at::empty({heads, packing.value_panels(), packing.words(room), panel});
  if (memory.room > 0) {
    keys.narrow(1, 0, memory.room / panel).copy_(memory.keys);
    values.narrow(2, 0, packing.words(memory.room)).copy_(memory.values);
  }
  memory.keys = keys;
  memory.values = values;
  memory.room = room;
}

/// What the tasks of one attention share.
struct Attention {
  Tensor query, key, value, out;
  const Heads& heads;
  const Sequences& sequences;
  CpuKernels kernels;
  int64_t width;  ///< of a head

  Packing packing() const { return {kernels, width}; }

  AttentionCall call_for(int64_t sequence, int64_t key_head) const {
    const int64_t group = heads.count / heads.keys, row = sequences.begin(sequence);
    const auto from = [row](const Tensor& x, int64_t column) {
      return x.const_data_ptr<float>() + row * x.stride(0) + column;
    };
    AttentionCall call;
    call.tokens = sequences.length(sequence);
    call.heads = group;
    call.head_dim = width;
    call.query = from(query, key_head * group * width);
    call.key = from(key, key_head * width);
    call.value = from(value, key_head * width);
    call.out = out.mutable_data_ptr<float>() + row * out.stride(0) + key_head * group * width;
    call.stride = query.stride(0);
    call.key_stride = key.stride(0);
    call.out_stride = out.stride(0);
    call.causal = heads.causal;
    call.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
    return call;
  }

  /// Each task with the memory of one head.
  Tensor run(const std::vector<KeyValues>* memory) const {
    AttentionCall largest = call_for(0, 0);
    largest.room = round_up(sequences.longest(), kernels.panel);
    if (memory) {
      for (const KeyValues& each : *memory) largest.room = std::max(largest.room, each.room);
    }
    const int64_t keys = memory ? 0 : packing().key_floats(largest.room);
    const int64_t values = memory ? 0 : packing().value_floats(largest.room);
    run_tasks(sequences.count() * heads.keys, keys + values + kernels.attention_scratch(largest),
              [&](int64_t task, float* scratch) {
                const int64_t sequence = task / heads.keys, head = task % heads.keys;
                AttentionCall call = call_for(sequence, head);
                if (call.tokens == 0) return;
                call.keys = scratch;
                call.values = scratch + keys;
                call.room = largest.room;
                if (memory) recall((*memory)[static_cast<size_t>(sequence)], head, call);
                kernels.attention(call, scratch + keys + values);
              });
    return out;
  }

  static void recall(const KeyValues& memory, int64_t head, AttentionCall& call) {
    call.keys = memory.keys.mutable_data_ptr<float>() + head * memory.keys.stride(0);
    call.values = memory.values.mutable_data_ptr<float>() + head * memory.values.stride(0);
    call.before = memory.tokens;
    call.room = memory.room;
  }
};

Attention prepare(const Tensor& query, const Tensor& key, const Tensor& value, const Heads& heads,
                  const Sequences& sequences, const Context& context) {
  Tensor k = with_dense_rows(key), v = with_dense_rows(value);
  if (k.stride(0) != v.stride(0)) k = k.contiguous(), v = v.contiguous();
  return {with_dense_rows(query),
          k,
          v,
          at::empty(query.sizes()),
          heads,
          sequences,
          cpu_kernels(context),
          query.size(1) / heads.count};
}

}  // namespace

int64_t attended_pairs(int64_t tokens, int64_t before, bool causal) {
  return tokens * before + (causal ? tokens * (tokens + 1) / 2 : tokens * tokens);
}

Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const Heads& heads,
                 const Sequences& sequences, Context& context, std::vector<KeyValues>* memory) {
  if (memory && !heads.causal) fail("memories are for causal heads");
  const auto before = [&](int64_t i) {
    return memory ? (*memory)[static_cast<size_t>(i)].tokens : int64_t{0};
  };
  for (int64_t i = 0; i < sequences.count(); ++i) {
    // Scores: a product over a query's width for each pair; the sum of the values: as much again.
    context.macs +=
        2 * attended_pairs(sequences.length(i), before(i), heads.causal) * query.size(1);
  }
  if (!runs_own_kernels(query)) {
    if (memory) fail("tokens are generated on the CPU, in float32, with nothing to differentiate");
    return by_tensor_operations(query, key, value, heads, sequences);
  }
  const Attention attention = prepare(query, key, value, heads, sequences, context);
  if (!memory) return attention.run(nullptr);
  for (int64_t i = 0; i < sequences.count(); ++i) {
    make_room((*memory)[static_cast<size_t>(i)], before(i) + sequences.length(i), heads.keys,
              attention.packing());
  }
  Tensor out = attention.run(memory);
  for (int64_t i = 0; i < sequences.count(); ++i) {
    (*memory)[static_cast<size_t>(i)].tokens += sequences.length(i);
  }
  return out;
}

}  // namespace pace::kernels
