#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pace/adaptive/seams.h"
#include "pace/kernels/linear.h"
#include "pace/kernels/norm.h"

namespace pace {

/// What the blocks of one transformer encoder have in common.
struct EncoderShape {
  int64_t dim = 0, layers = 0, heads = 0, hidden = 0;
  bool qkv_bias = true;
  kernels::Activation activation = kernels::Activation::kGelu;  ///< of the MLPs
  /// Whether norms come after the residual sums, x = norm(x + f(x)), as in BERT, or before the
  /// maps, x += f(norm(x)).
  bool post_norm = false;
  double norm_epsilon = 1e-12, initializer_range = 0.02;
  double layer_scale = 1.0;  ///< initial, of blocks that have one
};

/// What a backbone calls the tensors of one block, without ".weight" and ".bias".
struct BlockNames {
  std::string query, key, value, output, mlp_in, mlp_out;
  std::string norm1, norm2;    ///< of the attention and of the MLP
  std::string scale1, scale2;  ///< whole names; empty without layer scale
};

/// The blocks of an encoder: attention and MLP, each with a residual sum. `build_map` makes every
/// MLP and projection, whose specs are appended to `specs` in order of execution.
std::vector<std::unique_ptr<Block>> make_encoder(
    const EncoderShape& shape, const std::function<BlockNames(int64_t block)>& names,
    const MapBuilder& build_map, Parameters& parameters, std::vector<MapSpec>& specs);

/// What a depth policy hears of such an encoder with a classifier behind it.
DepthSpec depth_spec(const EncoderShape& shape, int64_t classes);

/// MACs of all blocks, dense, for a sequence of `tokens`.
double encoder_macs(const EncoderShape& shape, int64_t tokens);

/// The linear layer of that name.
kernels::Linear make_linear(const std::string& name, int64_t in, int64_t out, double deviation,
                            Parameters& parameters);

/// The layer norm of that name.
kernels::Norm make_norm(const std::string& name, const EncoderShape& shape, Parameters& parameters);

}  // namespace pace
