#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "pace/kernels/grid.h"

namespace pace::kernels {

using at::Tensor;

// Some positions of feature maps: int64 [rows], their rows in rising order, on the CPU.

/// These positions and their eight neighbours.
Tensor dilate(const Tensor& rows, const Grid& grid);

/// How many of them lie in each picture.
std::vector<int64_t> count_by_picture(const Tensor& rows, const Grid& grid);

/// The pictures in which they lie, int64 in rising order.
Tensor pictures_of(const Tensor& rows, const Grid& grid);

/// All positions of some pictures, int64 in rising order.
Tensor rows_of_pictures(const Tensor& pictures, const Grid& grid);

/// sums += weights * states in these rows; float32 weights [rows] on the CPU, states and sums [..,
/// dim]. Nothing is differentiated; each row has the same bits whichever others are given.
void add_weighted(const Tensor& rows, const Tensor& weights, const Tensor& states, Tensor& sums);

}  // namespace pace::kernels
