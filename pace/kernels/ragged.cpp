#include "pace/kernels/ragged.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "pace/base/error.h"
#include "pace/kernels/panels.h"
#include "pace/kernels/tasks.h"

namespace pace::kernels {

namespace {

void check_choices(const Tensor& k, int64_t rows) {
  if (k.dim() != 1 || k.size(0) != rows) {
    fail("ragged MLP: k has {} entries for {} rows", k.numel(), rows);
  }
}

[[noreturn]] void fail_choice(int64_t k, int64_t most) {
  fail("ragged MLP: k is {} where the greatest is {}", k, most);
}

/// The first `count` learners as one dense MLP over `x` [rows, in], or the dense map.
Tensor run_learners(const Tensor& x, int64_t count, const Learners& learners, Context& context) {
  if (count > learners.count()) {
    return linear(x, learners.dense_weight, learners.dense_bias, context);
  }
  const int64_t units = count * learners.width;
  const Tensor hidden = activate(linear(x, learners.in_weight.narrow(0, 0, units),
                                        learners.in_bias.narrow(0, 0, units), context),
                                 learners.activation);
  return linear(hidden, learners.out_weight.narrow(1, 0, units), learners.offsets[count], context);
}

/// Panels of outputs cut after every `depth` words of hidden units, so that all that a chunk of
/// hidden units meets lies together: [chunks, panels, depth, panel, pack].
Tensor pack_outputs(const Tensor& weight, const CpuKernels& kernels) {
  const int64_t chunk = kernels.depth * kernels.pack, units = weight.size(1);
  const Tensor whole = at::constant_pad_nd(weight, {0, round_up(units, chunk) - units});
  return pack_panels(whole, kernels).unflatten(1, {-1, kernels.depth}).transpose(0, 1).contiguous();
}

/// Row numbers by falling k, those of equal k in their order; and their k.
struct Sorted {
  std::vector<int64_t> order;
  std::vector<int32_t> choice;
};

Sorted sort_by_choice(const Tensor& k, int64_t most) {
  const Tensor contiguous = k.contiguous();
  const int64_t* choices = contiguous.const_data_ptr<int64_t>();
  const int64_t rows = k.size(0);
  std::vector<int64_t> begin(most + 2, 0);  // begin[most - k + 1] counts the rows of k
  for (int64_t row = 0; row < rows; ++row) {
    if (choices[row] < 0 || choices[row] > most) fail_choice(choices[row], most);
    ++begin[most - choices[row] + 1];
  }
  for (int64_t place = 1; place <= most; ++place) begin[place + 1] += begin[place];
  Sorted sorted{std::vector<int64_t>(rows), std::vector<int32_t>(rows)};
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t place = begin[most - choices[row]]++;
    sorted.order[place] = row;
    sorted.choice[place] = static_cast<int32_t>(choices[row]);
  }
  return sorted;
}

/// Rows of a block: enough that the weights are read seldom, few enough that blocks of different
/// widths, taken widest first, end at the same time on all threads.
int64_t block_rows(int64_t rows, const CpuKernels& kernels) {
  constexpr int64_t kBlocksPerThread = 2;
  const int64_t threads = at::get_num_threads();
  const int64_t least = (rows + kernels.most_rows - 1) / kernels.most_rows;
  const int64_t blocks = round_up(std::max(least, kBlocksPerThread * threads), threads);
  return std::max(kernels.tile, (rows + blocks - 1) / blocks);
}

/// Rows that follow each other in the order.
struct Block {
  int64_t first, rows;
  bool dense;
};

/// The first `dense` rows run the dense map.
std::vector<Block> cut_blocks(int64_t rows, int64_t dense, int64_t height) {
  std::vector<Block> blocks;
  for (int64_t first = 0; first < rows;) {
    const int64_t end = first < dense ? dense : rows;
    const int64_t count = std::min(height, end - first);
    blocks.push_back({first, count, first < dense});
    first += count;
  }
  return blocks;
}

}  // namespace

PackedLearners::PackedLearners(const Learners& learners, const Context& context)
    : kernels_(cpu_kernels(context)),
      in_(learners.in_weight.size(1)),
      width_(learners.width),
      activation_(learners.activation) {
  const at::NoGradGuard no_grad;
  in_weight_ = pack_panels(learners.in_weight, kernels_);
  in_bias_ = pad_columns(learners.in_bias, learners.in_bias.size(0), kernels_.panel);
  out_weight_ = pack_outputs(learners.out_weight, kernels_);
  offsets_ = learners.offsets.contiguous();
  if (!learners.dense_weight.defined()) return;
  offsets_ = at::cat({offsets_, learners.dense_bias.unsqueeze(0)});
  dense_weight_ = pack_panels(learners.dense_weight, kernels_);
}

Tensor ragged_mlp(const Tensor& x, const Tensor& k, const PackedLearners& learners,
                  Context& context) {
  const at::NoGradGuard no_grad;
  const int64_t rows = x.size(0);
  check_choices(k, rows);
  const Sorted sorted = sort_by_choice(k, learners.most());
  const Tensor input = x.to(at::kFloat).contiguous();
  Tensor out = at::empty({rows, learners.out()}, input.options());

  RaggedCall call;
  call.x = input.const_data_ptr<float>();
  call.out = out.mutable_data_ptr<float>();
  call.in = learners.in_;
  call.out_width = learners.out();
  call.order = sorted.order.data();
  call.choice = sorted.choice.data();
  call.learner_width = learners.width_;
  call.in_weight = learners.in_weight_.const_data_ptr();
  call.in_bias = learners.in_bias_.const_data_ptr<float>();
  call.out_weight = learners.out_weight_.const_data_ptr();
  call.offsets = learners.offsets_.const_data_ptr<float>();
  call.activation = learners.activation_;
  const bool has_dense = learners.dense_weight_.defined();
  if (has_dense) call.dense_weight = learners.dense_weight_.const_data_ptr();

  const CpuKernels& kernels = learners.kernels_;
  const int64_t height = block_rows(rows, kernels);
  const int64_t dense =
      has_dense ? std::count(sorted.choice.begin(), sorted.choice.end(), learners.most()) : 0;
  const std::vector<Block> blocks = cut_blocks(rows, dense, height);
  run_tasks(
      static_cast<int64_t>(blocks.size()), kernels.ragged_scratch(call, height),
      [&](int64_t task, float* scratch) {
        const Block& block = blocks[static_cast<size_t>(task)];
        (block.dense ? kernels.dense_last : kernels.learners)(call, block.first, block.rows,
                                                              scratch);
      },
      Sharing::kInOrder);
  context.macs += dense * learners.in() * learners.out();
  for (int64_t row = dense; row < rows; ++row) {
    context.macs += sorted.choice[row] * learners.width_ * (learners.in() + learners.out());
  }
  return out;
}

Tensor grouped_mlp(const Tensor& x, const Tensor& k, const Learners& learners, Context& context) {
  const int64_t rows = x.size(0), most = learners.most();
  check_choices(k, rows);
  const auto [sorted, order] = k.sort();
  const Tensor counts = at::bincount(sorted, {}, most + 1).to(at::kCPU);
  if (counts.size(0) != most + 1) fail_choice(counts.size(0) - 1, most);
  const Tensor gathered = x.index_select(0, order);
  const Tensor results = at::empty({rows, learners.offsets.size(1)}, x.options());
  const int64_t* group = counts.const_data_ptr<int64_t>();
  for (int64_t n = 0, begin = 0; n <= most; begin += group[n], ++n) {
    if (group[n] == 0) continue;
    Tensor target = results.narrow(0, begin, group[n]);
    if (n == 0) {
      target.copy_(learners.offsets[0].expand_as(target));
    } else {
      target.copy_(run_learners(gathered.narrow(0, begin, group[n]), n, learners, context));
    }
  }
  return at::empty_like(results).index_copy_(0, order, results);
}

}  // namespace pace::kernels
