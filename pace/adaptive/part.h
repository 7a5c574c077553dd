#pragma once

#include "pace/adaptive/pass.h"

namespace pace {

/// While it lives, a pass goes along some rows of the states only.
class Part {
 public:
  /// rows int64, rising: numbers of rows of the pass's sequences.
  Part(const Tensor& rows, Pass& pass);
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part();

 private:
  Pass& pass_;
  kernels::Sequences sequences_;
  Tensor positions_;
};

}  // namespace pace
