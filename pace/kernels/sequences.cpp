#include "pace/kernels/sequences.h"

#include <algorithm>

namespace pace::kernels {

Sequences::Sequences(const std::vector<int64_t>& lengths) {
  for (const int64_t length : lengths) {
    begins_.push_back(rows() + length);
    longest_ = std::max(longest_, length);
  }
}

Sequences Sequences::equal(int64_t count, int64_t length) {
  return Sequences(std::vector<int64_t>(static_cast<size_t>(count), length));
}

Tensor Sequences::sum(const Tensor& rows) const {
  return of_equal_length() ? rows.unflatten(0, {count(), longest_}).sum(1) : pad(rows).sum(1);
}

Tensor Sequences::pad(const Tensor& rows) const {
  std::vector<int64_t> sizes = rows.sizes().vec();
  sizes[0] = longest_;
  sizes.insert(sizes.begin(), count());
  if (of_equal_length()) return rows.reshape(sizes);
  return at::zeros(sizes, rows.options()).index_put({valid().to(rows.device())}, rows);
}

Tensor Sequences::unpad(const Tensor& padded) const {
  if (of_equal_length()) return padded.flatten(0, 1);
  return padded.index({valid().to(padded.device())});
}

Tensor Sequences::begins() const { return at::tensor(begins_, at::kLong).narrow(0, 0, count()); }

Tensor Sequences::lengths() const { return at::tensor(begins_, at::kLong).diff(); }

Tensor Sequences::valid() const { return at::arange(longest_) < lengths().unsqueeze(1); }

}  // namespace pace::kernels
