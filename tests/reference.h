#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

/// The folder with the fixtures of one module of tests/reference, made before the tests run.
inline std::filesystem::path reference(const std::string& topic) {
  const char* folder = std::getenv("PACE_REFERENCE");
  if (!folder) throw std::runtime_error("PACE_REFERENCE is unset; run the tests through ctest");
  return std::filesystem::path(folder) / topic;
}
