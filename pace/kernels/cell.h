#pragma once

#include "pace/kernels/context.h"

namespace pace::kernels {

using at::Tensor;

/// What the end of an LSTM's time step is made of, in PyTorch's order of gates: input, forget,
/// cell, output.
struct CellGates {
  Tensor input;       ///< [.., 4 * hidden]: the product with the layer's input, its bias added
  Tensor input_rows;  ///< int64 [rows] of `input`; undefined: its rows in order
  Tensor recurrent;   ///< [rows, 4 * hidden]: the same of the layer's last output
  Tensor extra;       ///< [4 * hidden], added to every row; may be undefined
};

/// c' = sigmoid(forget) c + sigmoid(input) tanh(cell), h' = sigmoid(output) tanh(c'), written over
/// h and c, which stand in columns [column, column + 2 * hidden) of these rows of `states` (int64,
/// or undefined: all). A row has the same bits whichever others there are. Float32 on the CPU;
/// nothing is differentiated.
void renew_cell(const CellGates& gates, Tensor& states, int64_t column, const Tensor& rows,
                const Context& context);

/// The same, differentiable: states [rows, 2 * hidden] -> the new ones.
Tensor next_cell(const CellGates& gates, const Tensor& states);

}  // namespace pace::kernels
