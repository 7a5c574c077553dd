#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pace {

using at::Tensor;

/// Where the values of a parameter come from: a tensor by name, or nothing when there is none.
using WeightSource = std::function<std::optional<Tensor>(const std::string& name)>;

/// How a parameter begins that no source has.
struct Initial {
  enum class Kind { kRequired, kConstant, kNormal, kValues } kind = Kind::kRequired;
  double value =
      0.0;          ///< the constant, or the deviation of kNormal, which is cut off at two of them
  Tensor values{};  ///< of kValues

  static Initial required() { return {}; }
  static Initial constant(double value) { return {Kind::kConstant, value}; }
  static Initial zeros() { return constant(0.0); }
  static Initial ones() { return constant(1.0); }
  static Initial normal(double deviation) { return {Kind::kNormal, deviation}; }
  static Initial of(Tensor values) { return {Kind::kValues, 0.0, std::move(values)}; }
};

/// All named tensors of one model, in the order in which its parts asked for them, and their only
/// owner: parts keep handles to the same storage, so an optimiser or a loader that writes here is
/// seen by them.
class Parameters {
 public:
  /// `may_initialize` decides which names may begin with their Initial when the source lacks them
  /// (a new classifier on a pretrained backbone); all others must come from the source. Without it,
  /// none may. `where` is what errors call the source.
  explicit Parameters(WeightSource source,
                      std::function<bool(const std::string&)> may_initialize = {},
                      uint64_t seed = 0, std::string where = "weights");

  /// The parameter `name`, float32, requiring gradients. Throws Error when the source has none (and
  /// it may not be initialised), has another shape, has a dtype that is no floating-point type, or
  /// holds NaN or infinity; or when the name was asked for before.
  Tensor add(const std::string& name, at::IntArrayRef shape, Initial initial = {});

  /// The same for a statistic of the data, which training measures and no gradient reaches.
  Tensor add_statistic(const std::string& name, at::IntArrayRef shape, Initial initial);

  const std::vector<std::pair<std::string, Tensor>>& all() const { return tensors_; }
  /// Throws Error when there is none of that name.
  Tensor at(const std::string& name) const;
  int64_t count() const;  ///< of scalars, without statistics

 private:
  WeightSource source_;
  std::function<bool(const std::string&)> may_initialize_;
  at::Generator generator_;
  std::string where_;
  std::vector<std::pair<std::string, Tensor>> tensors_;
  std::map<std::string, size_t> index_;
};

struct LinearParameters {
  Tensor weight, bias;  ///< [out, in]; [out], or undefined
};

/// Asks for `<name>.weight` and then `<name>.bias`, which begins with the value `bias` and is left
/// out where there is none.
LinearParameters add_linear(const std::string& name, int64_t in, int64_t out, double deviation,
                            Parameters& parameters, std::optional<double> bias = 0.0);

/// A source that knows nothing: every parameter begins with its Initial.
WeightSource no_weights();

}  // namespace pace
