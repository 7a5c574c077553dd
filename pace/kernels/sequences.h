#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace pace::kernels {

using at::Tensor;

/// Where the sequences of a batch lie: their tokens are rows of one matrix, one sequence after
/// another, so that there is no padding to compute or to hide.
class Sequences {
 public:
  Sequences() = default;
  /// Lengths >= 0.
  explicit Sequences(const std::vector<int64_t>& lengths);
  static Sequences equal(int64_t count, int64_t length);

  int64_t count() const { return static_cast<int64_t>(begins_.size()) - 1; }
  int64_t rows() const { return begins_.back(); }
  int64_t begin(int64_t sequence) const { return begins_[static_cast<size_t>(sequence)]; }
  int64_t length(int64_t sequence) const { return begin(sequence + 1) - begin(sequence); }
  int64_t longest() const { return longest_; }
  /// Whether all have as many tokens: rows are then [count, longest] in another shape.
  bool of_equal_length() const { return rows() == count() * longest_; }

  /// Sums of rows [rows, ...] over each sequence -> [count, ...]; gradients flow.
  Tensor sum(const Tensor& rows) const;
  /// Rows [rows, ...] -> [count, longest, ...] with zeros where a sequence has ended, and back.
  Tensor pad(const Tensor& rows) const;
  Tensor unpad(const Tensor& padded) const;
  Tensor begins() const;   ///< int64 [count]
  Tensor lengths() const;  ///< int64 [count]
  Tensor valid() const;    ///< bool [count, longest]: false where a sequence has ended

 private:
  std::vector<int64_t> begins_{0};  ///< of each sequence, and the end of the last
  int64_t longest_ = 0;
};

}  // namespace pace::kernels
