#pragma once

#include <ATen/ATen.h>

#include <array>
#include <initializer_list>
#include <memory>
#include <mutex>

#include "pace/kernels/context.h"

namespace pace::kernels {

using at::Tensor;

/// What was made of some tensors for a kernel, kept until one of them changes in place. It may be
/// asked for from several threads at a time.
template <typename Made>
class Prepared {
 public:
  /// `make` returns a Made; it is called when `tensors` are not as they were at the last call.
  template <typename Make>
  std::shared_ptr<const Made> of(std::initializer_list<Tensor> tensors, const Make& make) const {
    // Every change in place raises a tensor's version, so the sum tells whether any has changed.
    int64_t version = 0;
    for (const Tensor& tensor : tensors) {
      if (tensor.defined()) version += static_cast<int64_t>(tensor._version());
    }
    const std::lock_guard lock(making_);
    if (version != version_) {
      made_ = std::make_shared<const Made>(make());
      version_ = version;
    }
    return made_;
  }

 private:
  mutable std::mutex making_;
  mutable std::shared_ptr<const Made> made_;
  mutable int64_t version_ = -1;
};

/// The same for each type of product and instruction set.
template <typename Made>
class PreparedFor {
 public:
  template <typename Make>
  std::shared_ptr<const Made> of(const Context& context, std::initializer_list<Tensor> tensors,
                                 const Make& make) const {
    const size_t type = context.type == at::kBFloat16 ? 1 : 0;
    return kinds_[2 * static_cast<size_t>(context.isa) + type].of(tensors, make);
  }

 private:
  std::array<Prepared<Made>, 8> kinds_;
};

}  // namespace pace::kernels
