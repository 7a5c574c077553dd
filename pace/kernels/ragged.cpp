#include "pace/kernels/ragged.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>

#include "pace/base/error.h"

namespace pace::kernels {

namespace {

constexpr int64_t kCacheLine = 64;

void check_choices(const Tensor& k, int64_t rows) {
  if (k.dim() != 1 || k.size(0) != rows) {
    fail("ragged MLP: k has {} entries for {} rows", k.numel(), rows);
  }
}

[[noreturn]] void fail_choice(int64_t k, int64_t most) {
  fail("ragged MLP: k is {} where the greatest is {}", k, most);
}

/// The first `count` learners as one dense MLP over `x` [rows, in], or the dense map.
Tensor run_learners(const Tensor& x, int64_t count, const Learners& learners, MacCounter& counter) {
  if (count > learners.count()) {
    return linear(x, learners.dense_weight, learners.dense_bias, counter);
  }
  const int64_t units = count * learners.width;
  const Tensor hidden = activate(linear(x, learners.in_weight.narrow(0, 0, units),
                                        learners.in_bias.narrow(0, 0, units), counter),
                                 learners.activation);
  return linear(hidden, learners.out_weight.narrow(1, 0, units), learners.offsets[count], counter);
}

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// weight [columns, depth] -> [panels, words, panel, pack], zeros where the sizes do not fit.
Tensor pack_panels(const Tensor& weight, const RaggedKernel& kernel) {
  const int64_t columns = round_up(weight.size(0), kernel.panel),
                depth = round_up(weight.size(1), kernel.pack);
  return at::constant_pad_nd(weight, {0, depth - weight.size(1), 0, columns - weight.size(0)})
      .view({columns / kernel.panel, kernel.panel, depth / kernel.pack, kernel.pack})
      .permute({0, 2, 1, 3})
      .to(kernel.pack == 2 ? at::kBFloat16 : at::kFloat)
      .contiguous();
}

RaggedKernel kernel_of(Isa isa, at::ScalarType type) {
  const std::vector<Isa> available = available_isas();
  if (std::find(available.begin(), available.end(), isa) == available.end()) {
    fail("this machine has no {}", to_string(isa));
  }
  if (type != at::kFloat && type != at::kBFloat16) {
    fail("ragged MLP: type {} is neither float32 nor bfloat16", c10::toString(type));
  }
  const bool bfloat16 = type == at::kBFloat16;
#ifdef __x86_64__
  if (isa == Isa::kAvx512) return ragged_avx512(bfloat16);
  if (isa == Isa::kAvx2) return ragged_avx2(bfloat16);
#endif
  return ragged_plain(bfloat16);
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
int64_t block_rows(int64_t rows, const RaggedKernel& kernel) {
  constexpr int64_t kBlocksPerThread = 4, kLeast = 24;
  const int64_t share = rows / (kBlocksPerThread * at::get_num_threads());
  return round_up(std::clamp(share, kLeast, kernel.most_rows - kernel.tile), kernel.tile);
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

PackedLearners::PackedLearners(const Learners& learners, at::ScalarType type, Isa isa)
    : kernel_(kernel_of(isa, type)),
      in_(learners.in_weight.size(1)),
      width_(learners.width),
      activation_(learners.activation) {
  const at::NoGradGuard no_grad;
  in_weight_ = pack_panels(learners.in_weight, kernel_);
  in_bias_ = at::constant_pad_nd(
      learners.in_bias, {0, in_weight_.size(0) * kernel_.panel - learners.in_bias.size(0)});
  out_weight_ = pack_panels(learners.out_weight, kernel_);
  offsets_ = learners.offsets.contiguous();
  if (!learners.dense_weight.defined()) return;
  offsets_ = at::cat({offsets_, learners.dense_bias.unsqueeze(0)});
  dense_weight_ = pack_panels(learners.dense_weight, kernel_);
}

Tensor ragged_mlp(const Tensor& x, const Tensor& k, const PackedLearners& learners,
                  MacCounter& counter) {
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
  call.hidden_words = learners.out_weight_.size(1);
  call.offsets = learners.offsets_.const_data_ptr<float>();
  call.gelu = learners.activation_ == Activation::kGelu;
  const bool has_dense = learners.dense_weight_.defined();
  if (has_dense) call.dense_weight = learners.dense_weight_.const_data_ptr();

  const RaggedKernel& kernel = learners.kernel_;
  const int64_t height = block_rows(rows, kernel);
  const int64_t dense =
      has_dense ? std::count(sorted.choice.begin(), sorted.choice.end(), learners.most()) : 0;
  const std::vector<Block> blocks = cut_blocks(rows, dense, height);
  std::atomic<size_t> next{0};
  const auto work = [&](int64_t, int64_t) {
    const Tensor memory =
        at::empty({kernel.scratch(call, height) + kCacheLine / 4}, input.options());
    const auto address = reinterpret_cast<uintptr_t>(memory.data_ptr());
    auto* scratch = reinterpret_cast<float*>((address + kCacheLine - 1) & ~(kCacheLine - 1));
    for (size_t i = next++; i < blocks.size(); i = next++) {
      const Block& block = blocks[i];
      (block.dense ? kernel.dense_block : kernel.block)(call, block.first, block.rows, scratch);
    }
  };
  const auto most = static_cast<int64_t>(blocks.size());
  at::parallel_for(0, std::min<int64_t>(at::get_num_threads(), most), 1, work);
  counter.macs += dense * learners.in() * learners.out();
  for (int64_t row = dense; row < rows; ++row) {
    counter.macs += sorted.choice[row] * learners.width_ * (learners.in() + learners.out());
  }
  return out;
}

Tensor grouped_mlp(const Tensor& x, const Tensor& k, const Learners& learners,
                   MacCounter& counter) {
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
      target.copy_(run_learners(gathered.narrow(0, begin, group[n]), n, learners, counter));
    }
  }
  return at::empty_like(results).index_copy_(0, order, results);
}

}  // namespace pace::kernels
