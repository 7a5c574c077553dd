#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace pace {

/// Something the user gave or the machine did cannot be worked with. The message says what is
/// wrong, with which value, where, and what would be right. The command exits with status 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The command was used wrongly (unknown option, impossible combination): exit status 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Throws an Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace pace
