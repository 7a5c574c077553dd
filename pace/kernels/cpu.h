#pragma once

#include <cstdint>

namespace pace::kernels {

// What the kernels read and write. Pointers and numbers only: the sources that see this header are
// compiled for instruction sets the machine may lack, where no inline function of a library may be
// instantiated. A task is the work of one thread at a time; its scratch is aligned to 64 bytes.

/// What follows a product.
enum class Activation {
  kIdentity,
  kGelu,
  kGeluTanh,  ///< GELU by a hyperbolic tangent, as in GPT-2
  kSilu,      ///< x / (1 + e^-x)
};

/// A dense product: out = activation(x weight^T + bias).
struct ProductCall {
  const float* x = nullptr;  ///< [rows, in]
  float* out = nullptr;      ///< [rows, out_width]
  int64_t in = 0, out_width = 0;
  int64_t stride = 0;            ///< from a row of x to the next, which may begin within it
  const void* weight = nullptr;  ///< packed panels of outputs
  const float* bias = nullptr;   ///< as many as the panels have columns
  Activation activation = Activation::kIdentity;
};

/// A convolution over feature maps whose positions are rows, picture by picture and line by line:
/// y = relu(x * weight + bias + residual), with a square kernel and as much padding on each side as
/// keeps a map's size.
struct ConvCall {
  static constexpr int64_t kWidest = 7;  ///< side of a kernel with narrow panels

  const float* x = nullptr;         ///< [pictures * lines * columns, in]
  float* y = nullptr;               ///< [pictures * out_lines * out_columns, out]
  const float* residual = nullptr;  ///< of y's shape, y itself perhaps; or null: nothing is added
  const int64_t* rows = nullptr;    ///< of y that are computed; null: all
  int64_t in = 0, out = 0;          ///< channels
  int64_t lines = 0, columns = 0, out_lines = 0, out_columns = 0;
  int64_t side = 0, stride = 0;  ///< of the kernel
  const void* weight = nullptr;  ///< packed panels, their depth by lines, columns and channels
  const float* bias = nullptr;   ///< as many as the panels have columns
  const float* zeros = nullptr;  ///< [side * in]
  bool narrow = false;           ///< whether panels are half as wide: of few channels
  bool relu = false;
};

/// One number for each picture, from the mean of such a map, and one for each position, with a
/// convolution of 3 x 3 added to its picture's.
struct ScoreCall {
  const float* x = nullptr;       ///< [pictures * lines * columns, channels]
  float* y = nullptr;             ///< [rows]
  const int64_t* rows = nullptr;  ///< that are computed
  int64_t channels = 0, lines = 0, columns = 0;
  const float* mean_weight = nullptr;  ///< [channels]
  const float* weight = nullptr;       ///< [3 + 1, 3, channels], the last line zeros
};

/// Rows that each run their own number of learners.
struct RaggedCall {
  const float* x = nullptr;  ///< [rows, in]
  float* out = nullptr;      ///< [rows, out_width]
  int64_t in = 0, out_width = 0;
  const int64_t* order = nullptr;   ///< of the rows by falling k
  const int32_t* choice = nullptr;  ///< [rows] k in that order
  int64_t learner_width = 0;
  const void* in_weight = nullptr;   ///< packed panels of hidden units
  const float* in_bias = nullptr;    ///< as many as the panels have columns
  const void* out_weight = nullptr;  ///< packed panels of outputs, cut as CpuKernels::depth says
  const float* offsets = nullptr;    ///< [most+1, out_width]
  Activation activation = Activation::kIdentity;  ///< of the hidden units
  const void* dense_weight = nullptr;             ///< packed panels of outputs
};

/// A gate's choice for every row: linear, GELU, linear, and the best of the scores less charges.
struct GateCall {
  const float* x = nullptr;  ///< [rows, in]
  int64_t* out = nullptr;    ///< [rows]
  int64_t in = 0, hidden = 0, choices = 0;
  const void* in_weight = nullptr;    ///< packed panels of kernel.lanes hidden units
  const float* in_bias = nullptr;     ///< as many as the panels have columns
  const float* out_weight = nullptr;  ///< packed panels of kernel.lanes choices, float32
  const float* out_bias = nullptr;    ///< as many as the panels have columns, charges taken off
  int64_t first = 0;                  ///< the number of the first choice
};

/// Softmax attention of one or several heads over one head's keys and values of one sequence. Those
/// of the new tokens are packed behind those of earlier ones, which the new ones see too.
struct AttentionCall {
  const float *query = nullptr, *key = nullptr, *value = nullptr;  ///< [tokens, ...]
  float* out = nullptr;                                            ///< [tokens, ...]
  int64_t tokens = 0;                                              ///< new ones
  int64_t heads = 1, head_dim = 0;     ///< query's; they lie side by side
  int64_t stride = 0, key_stride = 0;  ///< from a token's query to the next; of keys and values
  int64_t out_stride = 0;
  bool causal = false;                       ///< whether a token sees only itself and those before
  float scale = 1;                           ///< of the scores
  float *keys = nullptr, *values = nullptr;  ///< packed, a word for a float
  int64_t before = 0, room = 0;  ///< tokens that they have, and have room for: whole panels
};

/// Layer norm over the last dimension of states + scale * update; without a bias RMSNorm, which
/// takes no mean off. An activation follows.
struct NormCall {
  const float* states = nullptr;                   ///< [rows, dim]
  const float* update = nullptr;                   ///< [rows, dim], or null: nothing is added
  const float* scale = nullptr;                    ///< [dim], or null: 1
  float* sum = nullptr;                            ///< [rows, dim] where there is an update
  float* out = nullptr;                            ///< [rows, dim]
  const float *weight = nullptr, *bias = nullptr;  ///< [dim]; bias may be null
  int64_t dim = 0;
  float epsilon = 0;
  Activation activation = Activation::kIdentity;
};

/// Rotary position embeddings: the halves (a, b) of every head become (a cos - b sin, b cos + a
/// sin).
struct RotaryCall {
  const float* x = nullptr;                    ///< [rows, ...], heads side by side
  float* out = nullptr;                        ///< [rows, heads * width]
  const int64_t* positions = nullptr;          ///< [rows]
  const float *cos = nullptr, *sin = nullptr;  ///< [positions, width / 2]
  int64_t heads = 0, width = 0, stride = 0;    ///< from a row of x to the next
};

/// The end of an LSTM's time step, in PyTorch's order of gates.
struct CellCall {
  const float* input = nullptr;         ///< [.., 4 * hidden]
  const int64_t* input_rows = nullptr;  ///< [rows] of it; null: in order
  const float* recurrent = nullptr;     ///< [rows, 4 * hidden], added
  const float* extra = nullptr;         ///< [4 * hidden], added to every row; or null
  float* states = nullptr;              ///< [.., stride]: output, then cell, each hidden wide
  const int64_t* rows = nullptr;        ///< [rows] of it that are renewed; null: in order
  int64_t hidden = 0, stride = 0;
};

/// The kernels of one instruction set and type of the products' factors (sums are float32).
struct CpuKernels {
  int64_t lanes;      ///< floats of a vector: columns of a gate's panel
  int64_t panel;      ///< columns of any other packed panel
  int64_t tile;       ///< rows that are worth a task: as many as are computed together at best
  int64_t most_rows;  ///< of a block
  int64_t depth;      ///< words of hidden units after which the next panel of outputs follows
  int64_t step;       ///< words that the depth of a product's panel is a multiple of
  int64_t pack;       ///< factors in a packed word of four bytes: 1 of float32 or 2 of bfloat16

  /// Rows [first, first + rows), panels [panel, panel + panels) of the outputs.
  void (*product)(const ProductCall& call, int64_t first, int64_t rows, int64_t panel,
                  int64_t panels, float* scratch);
  /// The same of a convolution, its rows counted among those computed.
  void (*convolution)(const ConvCall& call, int64_t first, int64_t rows, int64_t panel,
                      int64_t panels, float* scratch);
  /// The sum over positions [first, first + rows) of their products with the mean's weight; what
  /// the convolution gives at those that are computed from the `first`-th on.
  float (*mean_score)(const ScoreCall& call, int64_t first, int64_t rows);
  void (*score)(const ScoreCall& call, int64_t first, int64_t rows);
  /// Rows [first, first + rows) of the order, by their learners or by the dense map.
  void (*learners)(const RaggedCall& call, int64_t first, int64_t rows, float* scratch);
  void (*dense_last)(const RaggedCall& call, int64_t first, int64_t rows, float* scratch);
  void (*gate)(const GateCall& call, int64_t first, int64_t rows, float* scratch);
  void (*attention)(const AttentionCall& call, float* scratch);
  void (*norm)(const NormCall& call, int64_t first, int64_t rows);
  void (*rotary)(const RotaryCall& call, int64_t first, int64_t rows);
  void (*cell)(const CellCall& call, int64_t first, int64_t rows);

  /// Floats of scratch that a task needs.
  int64_t (*product_scratch)(const ProductCall& call, int64_t rows);
  int64_t (*convolution_scratch)(const ConvCall& call, int64_t rows);
  int64_t (*ragged_scratch)(const RaggedCall& call, int64_t rows);
  int64_t (*gate_scratch)(const GateCall& call);
  int64_t (*attention_scratch)(const AttentionCall& call);
};

CpuKernels cpu_plain(bool bfloat16);
CpuKernels cpu_avx2(bool bfloat16);
CpuKernels cpu_avx512(bool bfloat16);
CpuKernels cpu_amx();  ///< of bfloat16; float32 is AVX-512's

}  // namespace pace::kernels
