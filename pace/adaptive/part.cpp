#include "pace/adaptive/part.h"

#include <utility>

namespace pace {

Part::Part(const Tensor& rows, Pass& pass)
    : pass_(pass), sequences_(pass.sequences), positions_(pass.positions) {
  std::vector<int64_t> lengths(static_cast<size_t>(sequences_.count()), 0);
  const Tensor numbers = rows.to(at::kCPU);
  const int64_t* row = numbers.const_data_ptr<int64_t>();
  int64_t sequence = 0;
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    while (row[i] >= sequences_.begin(sequence) + sequences_.length(sequence)) ++sequence;
    ++lengths[static_cast<size_t>(sequence)];
  }
  pass_.sequences = kernels::Sequences(lengths);
  if (positions_.defined()) pass_.positions = positions_.index_select(0, numbers);
  pass_.ledger.keep({}, pass_.sequences);
}

Part::~Part() {
  pass_.ledger.keep({}, sequences_);
  pass_.sequences = std::move(sequences_);
  pass_.positions = std::move(positions_);
}

}  // namespace pace
