#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "pace/cli/terminal.h"

namespace pace::cli {

inline constexpr const char* kVersion = "0.1.0";

/// One of `pace train | adapt | eval | predict | bench | info`.
class Command {
 public:
  virtual ~Command() = default;
  /// Adds the command's options; `app` outlives the command.
  virtual void declare(CLI::App& app) = 0;
  /// Does the work after the options were parsed and returns the exit status. Results go to
  /// standard output, progress and warnings to `terminal`.
  virtual int run(Terminal& terminal) = 0;
};

/// The whole program: finds the command, parses, runs and turns every error into one message.
/// Returns the exit status: 0, 1 (failed) or 2 (wrong use).
int run(int argc, const char* const* argv);

}  // namespace pace::cli
