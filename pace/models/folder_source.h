#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "pace/io/model_folder.h"

namespace pace {

/// Which tensors of a folder may stay unused, by their names without the backbone's prefix.
using Expected = std::function<bool(std::string_view)>;

/// Known parts of a backbone's folder that a model with a head may have no use for.
bool is_unused(std::string_view bare);
/// Whether `bare` belongs to a layer of an encoder at or behind `layers`.
bool is_cut_layer(std::string_view bare, int64_t layers);

/// The tensors of a folder by the names of the classifier model, whether or not the folder has the
/// backbone's prefix and whatever PyTorch called them at its time, with a note of those that were
/// asked for.
class FolderSource {
 public:
  FolderSource(const WeightFiles& files, std::string prefix)
      : files_(files), prefix_(std::move(prefix)) {}

  std::optional<at::Tensor> find(const std::string& name);

  /// Throws Error naming tensors that no parameter asked for, except those `expected` says may be
  /// there.
  void check_leftovers(const std::string& where, const Expected& expected) const;

  /// Lets go of the files: the model has copies.
  void close() { files_ = WeightFiles(); }

 private:
  WeightFiles files_;
  std::string prefix_;
  std::set<std::string> asked_;
};

}  // namespace pace
