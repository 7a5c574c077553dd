#pragma once

#include "pace/cli/command.h"

namespace pace::cli {

std::unique_ptr<Command> make_eval();

}  // namespace pace::cli
