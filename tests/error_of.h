#pragma once

#include <string>

#include "pace/base/error.h"

/// The message of the Error that `action` throws, or "(no error)". Any other exception passes
/// through.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const pace::Error& error) {
    return error.what();
  }
  return "(no error)";
}
