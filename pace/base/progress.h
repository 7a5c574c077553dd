#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pace {

/// What long work tells whoever started it. Nothing below the command prints; the command passes a
/// Reporter that draws a progress bar on a terminal, tests and callers of the library pass none.
class Reporter {
 public:
  virtual ~Reporter() = default;
  /// A new piece of work of `total` steps begins, of which `done` were done before (a resumed run).
  virtual void start(std::string_view /*task*/, int64_t /*total*/, int64_t /*done*/ = 0) {}
  /// `done` steps are finished; `note` is a few words worth showing beside the bar.
  virtual void advance(int64_t /*done*/, std::string_view /*note*/ = {}) {}
  virtual void finish() {}
  /// Something the user should know although the work goes on.
  virtual void warn(std::string_view /*message*/) {}
};

/// A Reporter that keeps silent.
Reporter& quiet();

}  // namespace pace
