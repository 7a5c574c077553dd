#include "pace/models/resnet.h"

#include <fmt/ranges.h>

#include <cmath>
#include <utility>

#include "pace/base/error.h"
#include "pace/kernels/conv.h"
#include "pace/kernels/linear.h"
#include "pace/kernels/positions.h"
#include "pace/models/labels.h"

namespace pace {

namespace {

using kernels::Conv;
using kernels::Grid;

kernels::BatchNorm add_norm(const std::string& name, int64_t channels, const ResNetConfig& config,
                            Parameters& parameters) {
  const Tensor weight = parameters.add(name + ".weight", {channels}, Initial::ones());
  const Tensor bias = parameters.add(name + ".bias", {channels}, Initial::zeros());
  const Tensor mean =
      parameters.add_statistic(name + ".running_mean", {channels}, Initial::zeros());
  return {
      weight,         bias,
      mean,           parameters.add_statistic(name + ".running_var", {channels}, Initial::ones()),
      config.epsilon, config.momentum};
}

struct ConvShape {
  int64_t in, out, side, stride;
};

/// Begins as He et al. (arXiv 1502.01852) do, by what a position gives.
std::unique_ptr<Conv> add_conv(const std::string& name, const std::string& norm,
                               const ConvShape& shape, const ResNetConfig& config,
                               Parameters& parameters) {
  const auto fan = static_cast<double>(shape.side * shape.side * shape.out);
  const Tensor weight =
      parameters.add(name + ".weight", {shape.out, shape.in, shape.side, shape.side},
                     Initial::normal(std::sqrt(2.0 / fan)));
  return std::make_unique<Conv>(weight, shape.stride,
                                add_norm(norm, shape.out, config, parameters));
}

/// Where one residual unit stands.
struct UnitShape {
  std::string name;  ///< in front of its tensors' names
  int64_t in, out, stride;
};

/// The convolutions of a unit, without the shortcut's.
std::vector<ConvShape> conv_shapes(const UnitShape& unit, const ResNetConfig& config) {
  if (!config.bottleneck) return {{unit.in, unit.out, 3, unit.stride}, {unit.out, unit.out, 3, 1}};
  const int64_t inner = unit.out / 4;
  return {{unit.in, inner, 1, 1}, {inner, inner, 3, unit.stride}, {inner, unit.out, 1, 1}};
}

/// y = relu(f(x) + shortcut(x)).
class ResidualUnit : public Block {
 public:
  ResidualUnit(const UnitShape& unit, const ResNetConfig& config, Parameters& parameters)
      : unit_(unit) {
    int number = 0;
    for (const ConvShape& shape : conv_shapes(unit, config)) {
      const auto part = [&](const char* kind) {
        return fmt::format("{}{}{}", unit.name, kind, number);
      };
      ++number;
      convs_.push_back(add_conv(part("conv"), part("bn"), shape, config, parameters));
    }
    if (config.cifar || (unit.stride == 1 && unit.in == unit.out)) return;
    downsample_ = add_conv(unit.name + "downsample.0", unit.name + "downsample.1",
                           {unit.in, unit.out, 1, unit.stride}, config, parameters);
  }

  Tensor forward(const Tensor& states, Pass& pass) const override {
    if (pass.active.defined()) return renew(states, pass);
    const Tensor shortcut = shorten(states, pass);
    Tensor x = states;
    for (size_t i = 0; i < convs_.size(); ++i) {
      kernels::ConvEnd end{.batch_statistics = pass.batch_statistics};
      if (i + 1 == convs_.size()) end.residual = shortcut;
      const Conv& conv = *convs_[i];
      x = conv.forward(x, pass.grid, end, pass.context);
      pass.grid = pass.grid.strided(conv.stride());
      pass.ledger.charge(static_cast<double>(conv.macs() * pass.grid.positions()));
    }
    return x;
  }

 private:
  /// Only the active positions: a convolution of 3 x 3 needs the one before it also beside them.
  Tensor renew(const Tensor& states, Pass& pass) const {
    std::vector<Tensor> rows(convs_.size(), pass.active);
    for (size_t i = convs_.size() - 1; i > 0; --i) {
      rows[i - 1] = convs_[i]->side() > 1 ? kernels::dilate(rows[i], pass.grid) : rows[i];
    }
    Tensor x = states;
    for (size_t i = 0; i < convs_.size(); ++i) {
      const Conv& conv = *convs_[i];
      const bool last = i + 1 == convs_.size();
      Tensor y = last ? states : at::empty({pass.grid.rows(), conv.out()}, states.options());
      conv.forward_at(rows[i], x, pass.grid, {.residual = last ? states : Tensor()}, y,
                      pass.context);
      pass.ledger.charge(kernels::count_by_picture(rows[i], pass.grid),
                         static_cast<double>(conv.macs()));
      x = y;
    }
    return states;
  }

  Tensor shorten(const Tensor& states, Pass& pass) const {
    if (downsample_) {
      const kernels::ConvEnd end{.relu = false, .batch_statistics = pass.batch_statistics};
      pass.ledger.charge(
          static_cast<double>(downsample_->macs() * pass.grid.strided(unit_.stride).positions()));
      return downsample_->forward(states, pass.grid, end, pass.context);
    }
    if (unit_.stride == 1 && unit_.in == unit_.out) return states;
    const Grid& grid = pass.grid;
    const Tensor maps = states.view({grid.pictures, grid.lines, grid.columns, unit_.in});
    const Tensor kept = maps.slice(1, 0, {}, unit_.stride).slice(2, 0, {}, unit_.stride);
    const int64_t zeros = (unit_.out - unit_.in) / 2;
    return at::constant_pad_nd(kept, {zeros, zeros}).view({-1, unit_.out});
  }

  UnitShape unit_;
  std::vector<std::unique_ptr<Conv>> convs_;
  std::unique_ptr<Conv> downsample_;  ///< of the shortcut, where it is a projection
};

/// The units of one stage, and what runs them.
struct Stage {
  Stack stack;
  std::unique_ptr<DepthPolicy> policy;
};

class ResNet : public Model {
 public:
  ResNet(json config, const std::string& where, std::unique_ptr<Parameters> parameters,
         const DepthBuilder& build_depth)
      : json_(std::move(config)),
        config_(ResNetConfig::from_json(json_, where)),
        labels_(class_labels(json_, where)),
        parameters_(std::move(parameters)),
        stem_(add_conv("conv1", "bn1", stem_shape(), config_, *parameters_)) {
    int64_t width = config_.stem;
    for (size_t stage = 0; stage < config_.depths.size(); ++stage) {
      stages_.push_back(make_stage(stage, width, build_depth));
      width = config_.widths[stage];
    }
    const LinearParameters made =
        add_linear(config_.cifar ? "linear" : "fc", width, config_.classes, 0.01, *parameters_);
    classifier_.emplace(made.weight, made.bias);
  }

  Tensor forward(const Tensor& inputs, Pass& pass) const override {
    check_input(inputs);
    pass.grid = {inputs.size(0), inputs.size(2), inputs.size(3)};
    pass.sequences = kernels::Sequences::equal(pass.grid.pictures, 1);
    pass.ledger.open(pass.sequences);
    Tensor states = enter(inputs, pass);
    for (const Stage& stage : stages_) states = stage.policy->run(states, stage.stack, pass);
    const Tensor means = states.view({pass.grid.pictures, -1, states.size(1)}).mean(1);
    pass.ledger.charge(static_cast<double>(means.size(1) * config_.classes));
    return classifier_->forward(means, pass.context).to(at::kFloat);
  }

  Tensor dense_macs(const Tensor& inputs) const override {
    check_input(inputs);
    Grid grid = Grid{1, inputs.size(2), inputs.size(3)}.strided(stem_->stride());
    int64_t macs = stem_->macs() * grid.positions() + config_.widths.back() * config_.classes;
    if (!config_.cifar) grid = grid.strided(2);
    int64_t width = config_.stem;
    for (size_t stage = 0; stage < config_.depths.size(); ++stage) {
      macs += stage_macs(stage, std::exchange(width, config_.widths[stage]), grid);
    }
    return at::full({inputs.size(0)}, static_cast<double>(macs), at::kDouble);
  }

  const std::vector<MapSpec>& maps() const override { return specs_; }
  const json& config() const override { return json_; }
  Parameters& parameters() override { return *parameters_; }
  std::vector<std::string> labels() const override { return labels_; }

 private:
  ConvShape stem_shape() const {
    if (config_.cifar) return {config_.channels, config_.stem, 3, 1};
    return {config_.channels, config_.stem, 7, 2};
  }

  Stage make_stage(size_t stage, int64_t in, const DepthBuilder& build_depth) {
    Stage made;
    for (int64_t unit = 0; unit < config_.depths[stage]; ++unit) {
      const UnitShape shape = unit_shape(stage, unit, in);
      made.stack.blocks.push_back(std::make_unique<ResidualUnit>(shape, config_, *parameters_));
    }
    made.stack.readout = [](const Tensor& states, Pass&) { return states; };
    made.policy = build_depth({.blocks = config_.depths[stage],
                               .dim = config_.widths[stage],
                               .stage = fmt::format("layer{}", stage + 1),
                               .maps = true},
                              *parameters_);
    return made;
  }

  UnitShape unit_shape(size_t stage, int64_t unit, int64_t in) const {
    const std::string name = fmt::format("layer{}.{}.", stage + 1, unit);
    const int64_t width = config_.widths[stage];
    return unit == 0 ? UnitShape{name, in, width, config_.strides[stage]}
                     : UnitShape{name, width, width, 1};
  }

  /// MACs of a stage over a picture of `grid`, which becomes that of its result.
  int64_t stage_macs(size_t stage, int64_t in, Grid& grid) const {
    int64_t macs = 0;
    for (int64_t index = 0; index < config_.depths[stage]; ++index) {
      const UnitShape unit = unit_shape(stage, index, in);
      const Grid before = grid;
      for (const ConvShape& conv : conv_shapes(unit, config_)) {
        grid = grid.strided(conv.stride);
        macs += conv.in * conv.out * conv.side * conv.side * grid.positions();
      }
      const bool projects = !config_.cifar && (unit.stride > 1 || unit.in != unit.out);
      if (projects) macs += unit.in * unit.out * before.strided(unit.stride).positions();
    }
    return macs;
  }

  void check_input(const Tensor& inputs) const {
    if (inputs.dim() != 4 || inputs.size(0) < 1 || inputs.size(1) != config_.channels ||
        !at::isFloatingType(inputs.scalar_type())) {
      fail("inputs of shape [{}], {}; this model takes floating-point [batch, {}, height, width]",
           fmt::join(inputs.sizes(), ", "), c10::toString(inputs.scalar_type()), config_.channels);
    }
    const int64_t least = config_.reduction();
    if (inputs.size(2) < least || inputs.size(3) < least) {
      fail("inputs of {} x {} pixels; this model makes one position of {} x {} and takes no less",
           inputs.size(2), inputs.size(3), least, least);
    }
  }

  /// Pixels through the stem.
  Tensor enter(const Tensor& inputs, Pass& pass) const {
    const Tensor pixels = inputs.to(at::kFloat).permute({0, 2, 3, 1}).reshape({-1, inputs.size(1)});
    const Tensor states = stem_->forward(pixels, pass.grid,
                                         {.batch_statistics = pass.batch_statistics}, pass.context);
    pass.grid = pass.grid.strided(stem_->stride());
    pass.ledger.charge(static_cast<double>(stem_->macs() * pass.grid.positions()));
    if (config_.cifar) return states;
    const Grid& grid = pass.grid;
    const Tensor maps =
        states.view({grid.pictures, grid.lines, grid.columns, -1}).permute({0, 3, 1, 2});
    const Tensor pooled = at::max_pool2d(maps, {3, 3}, {2, 2}, {1, 1});
    pass.grid = grid.strided(2);
    return pooled.permute({0, 2, 3, 1}).reshape({-1, config_.stem});
  }

  json json_;
  ResNetConfig config_;
  std::vector<std::string> labels_;
  std::unique_ptr<Parameters> parameters_;
  std::vector<MapSpec> specs_;  ///< none: convolutions are no maps of tokens
  std::unique_ptr<Conv> stem_;
  std::vector<Stage> stages_;
  std::optional<kernels::Linear> classifier_;
};

}  // namespace

std::unique_ptr<Model> make_resnet(const json& config, const std::string& where,
                                   std::unique_ptr<Parameters> parameters, const MapBuilder&,
                                   const DepthBuilder& build_depth) {
  return std::make_unique<ResNet>(config, where, std::move(parameters), build_depth);
}

}  // namespace pace
