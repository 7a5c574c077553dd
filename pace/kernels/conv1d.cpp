#include "pace/kernels/conv1d.h"

#include <vector>

#include "pace/kernels/isa.h"
#include "pace/kernels/panels.h"
#include "pace/kernels/product.h"

namespace pace::kernels {

struct Conv1d::Packed {
  CpuKernels kernels;
  Tensor weight;  ///< [groups, panels, words, panel, pack]
  Tensor bias;    ///< [groups, panels * panel]
};

namespace {

/// weight [out, in, k] in the order in which the numbers of a sequence lie: [out, k * in].
Tensor by_rows(const Tensor& weight) { return weight.transpose(1, 2).flatten(1); }

/// Mean and covariance of the numbers that a kernel sees, from place to place of one sound.
struct Seen {
  Tensor mean;        ///< double [k]
  Tensor covariance;  ///< double [k, k]
};

Seen seen_by(const float* sound, int64_t places, int64_t stride, int64_t side) {
  Seen seen{at::zeros({side}, at::kDouble), at::zeros({side, side}, at::kDouble)};
  auto* mean = seen.mean.mutable_data_ptr<double>();
  auto* products = seen.covariance.mutable_data_ptr<double>();
  for (int64_t place = 0; place < places; ++place, sound += stride) {
    for (int64_t i = 0; i < side; ++i) {
      const auto first = static_cast<double>(sound[i]);
      mean[i] += first;
      for (int64_t j = 0; j < side; ++j) products[i * side + j] += first * sound[j];
    }
  }
  seen.mean /= static_cast<double>(places);
  seen.covariance /= static_cast<double>(places);
  seen.covariance -= seen.mean.unsqueeze(1) * seen.mean;
  return seen;
}

}  // namespace

int64_t Conv1d::length(int64_t rows) const {
  if (shape_.padded) return rows;
  return rows < side() ? 0 : (rows - side()) / shape_.stride + 1;
}

Sequences Conv1d::result(const Sequences& sequences) const {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < sequences.count(); ++i) lengths.push_back(length(sequences.length(i)));
  return Sequences(lengths);
}

Tensor Conv1d::weight() const {
  if (!gain_.defined()) return weight_;
  return weight_ * (gain_ / at::linalg_vector_norm(weight_, 2, {0, 1}, /*keepdim=*/true));
}

Tensor Conv1d::forward(const Tensor& x, const Sequences& sequences, Context& context,
                       Activation activation) const {
  if (runs_own_kernels(x)) return run(x, sequences, activation, context);
  return activate(plain(x, sequences, context), activation);
}

Tensor Conv1d::plain(const Tensor& x, const Sequences& sequences, Context& context) const {
  const Sequences out = result(sequences);
  Tensor rows = sequences.pad(x);
  if (shape_.padded) rows = at::constant_pad_nd(rows, {0, 0, side() / 2, (side() - 1) / 2});
  constexpr int64_t kPadding = 0, kDilation = 1;
  const Tensor y = at::conv1d(rows.transpose(1, 2), weight(), bias_, shape_.stride, kPadding,
                              kDilation, shape_.groups);
  context.macs += out.count() * out.longest() * macs();
  return out.unpad(y.transpose(1, 2));
}

Tensor Conv1d::lay_out(const Tensor& rows) const {
  const Tensor groups = rows.unflatten(1, {shape_.groups, -1}).transpose(0, 1);
  if (!shape_.padded) return groups.contiguous();
  return at::constant_pad_nd(groups, {0, 0, side() / 2, (side() - 1) / 2}).contiguous();
}

Tensor Conv1d::run(const Tensor& x, const Sequences& sequences, Activation activation,
                   Context& context) const {
  const auto packed = packed_.of(context, {weight_, bias_, gain_}, [&] {
    const CpuKernels kernels = cpu_kernels(context);
    std::vector<Tensor> weights, biases;
    for (const Tensor& own : weight().detach().chunk(shape_.groups)) {
      weights.push_back(pack_panels(by_rows(own), kernels));
    }
    const Tensor bias =
        bias_.defined() ? bias_.detach() : at::zeros({weight_.size(0)}, weight_.options());
    for (const Tensor& own : bias.chunk(shape_.groups)) {
      biases.push_back(pad_columns(own, own.size(0), kernels.panel));
    }
    return Packed{kernels, at::stack(weights), at::stack(biases)};
  });
  const Sequences out = result(sequences);
  const int64_t in = weight_.size(1), width = weight_.size(0) / shape_.groups;
  Tensor y = at::empty({shape_.groups, out.rows(), width}, x.options());
  ProductCall call;
  call.in = side() * in;
  call.stride = shape_.stride * in;
  call.out_width = width;
  call.activation = activation;
  std::vector<Tensor> inputs;
  std::vector<Product> products;
  for (int64_t i = 0; i < out.count(); ++i) {
    if (out.length(i) == 0) continue;
    const Tensor& rows =
        inputs.emplace_back(lay_out(x.narrow(0, sequences.begin(i), sequences.length(i))));
    for (int64_t group = 0; group < shape_.groups; ++group) {
      call.x = rows[group].const_data_ptr<float>();
      call.out = y[group].mutable_data_ptr<float>() + out.begin(i) * width;
      call.weight = packed->weight[group].const_data_ptr();
      call.bias = packed->bias[group].const_data_ptr<float>();
      products.push_back({call, out.length(i)});
    }
  }
  run_products(products, packed->weight.size(1), packed->kernels);
  context.macs += out.rows() * macs();
  return y.transpose(0, 1).flatten(1);
}

Tensor NormedConv1d::forward(const Tensor& x, const Sequences& sequences, Context& context) const {
  return runs_own_kernels(x) ? run(x, sequences, context) : plain(x, sequences, context);
}

Tensor NormedConv1d::plain(const Tensor& x, const Sequences& sequences, Context& context) const {
  const Sequences out = result(sequences);
  const Tensor rows = conv_.forward(x, sequences, context).to(at::kFloat);
  const Tensor lengths = out.lengths().to(rows.device());
  const auto mean = [&](const Tensor& values) {  // of each sound, at each of its rows
    return (out.sum(values) / lengths.unsqueeze(1)).repeat_interleave(lengths, 0);
  };
  const Tensor off = rows - mean(rows);
  return at::gelu(off * at::rsqrt(mean(off.square()) + epsilon_) * norm_weight_ + norm_bias_);
}

Tensor NormedConv1d::run(const Tensor& x, const Sequences& sequences, Context& context) const {
  Context own = context;
  own.type = at::kFloat;
  const CpuKernels kernels = cpu_kernels(own);
  const Sequences out = result(sequences);
  const Tensor input = x.contiguous(), weight = weight_.detach().flatten(1).to(at::kDouble);
  Tensor y = at::empty({out.rows(), weight.size(0)}, x.options());
  ProductCall call;
  call.in = weight.size(1);
  call.stride = stride_;
  call.out_width = weight.size(0);
  call.activation = Activation::kGelu;
  std::vector<Tensor> folded;  // weights and biases of each sound
  std::vector<Product> products;
  for (int64_t i = 0; i < out.count(); ++i) {
    if (out.length(i) == 0) continue;
    call.x = input.const_data_ptr<float>() + sequences.begin(i);
    call.out = y.mutable_data_ptr<float>() + out.begin(i) * call.out_width;
    const Seen seen = seen_by(call.x, out.length(i), stride_, call.in);
    // No matrix product here: its bits may depend on the number of threads.
    const Tensor variance =
        (weight.unsqueeze(2) * weight.unsqueeze(1) * seen.covariance).sum({1, 2}).clamp_min(0);
    const Tensor scale = norm_weight_.detach() * at::rsqrt(variance + epsilon_);
    const Tensor mean = (weight * seen.mean).sum(1);
    const Tensor& panels =
        folded.emplace_back(pack_panels((weight * scale.unsqueeze(1)).to(at::kFloat), kernels));
    call.weight = panels.const_data_ptr();
    const Tensor& bias = folded.emplace_back(
        pad_columns(norm_bias_.detach() - mean * scale, call.out_width, kernels.panel));
    call.bias = bias.const_data_ptr<float>();
    products.push_back({call, out.length(i)});
  }
  if (!products.empty()) run_products(products, folded.front().size(0), kernels);
  context.macs += out.rows() * macs();
  return y;
}

}  // namespace pace::kernels
