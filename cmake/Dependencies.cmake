# LibTorch: the wheel in .venv, or any unpacked LibTorch or installed wheel (the folder that has include/ and lib/).
# Its own TorchConfig.cmake is not used: that of a CUDA wheel, which pip installs by default, demands a CUDA toolkit
# on the building machine, and pace links none of the CUDA parts.
set(PACE_TORCH_DIR "" CACHE PATH "LibTorch 2.13 (empty: the torch wheel in .venv)")
set(torch_root "${PACE_TORCH_DIR}")
if(NOT torch_root)
  file(GLOB torch_root "${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
endif()
set(torch_version_file "${torch_root}/include/torch/headeronly/version.h")
if(NOT EXISTS "${torch_version_file}")
  message(FATAL_ERROR "No LibTorch at '${torch_root}': run `make setup`, which installs the torch wheel into .venv, "
                      "or give -DPACE_TORCH_DIR=<folder with LibTorch's include/ and lib/>.")
endif()
file(STRINGS "${torch_version_file}" torch_version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE "[^0-9]+" "." torch_version "${torch_version_lines}")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" torch_version "${torch_version}")
if(NOT torch_version MATCHES "^2\\.13\\.")
  message(FATAL_ERROR "LibTorch at '${torch_root}' is version ${torch_version}; pace needs 2.13.")
endif()
message(STATUS "LibTorch ${torch_version}: ${torch_root}")

foreach(part torch_cpu c10)
  add_library(pace_${part} SHARED IMPORTED)
  set_target_properties(pace_${part} PROPERTIES IMPORTED_LOCATION "${torch_root}/lib/lib${part}.so")
endforeach()

find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(TurboJpeg REQUIRED IMPORTED_TARGET libturbojpeg)
pkg_check_modules(Spng REQUIRED IMPORTED_TARGET spng)
pkg_check_modules(Utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(Sndfile REQUIRED IMPORTED_TARGET sndfile)
pkg_check_modules(Soxr REQUIRED IMPORTED_TARGET soxr)
set(PACE_JPEG PkgConfig::TurboJpeg)
set(PACE_SPNG PkgConfig::Spng)

# LibTorch's headers are not ours to warn about, and its fmt is used header-only.
add_library(pace_torch INTERFACE)
target_include_directories(pace_torch SYSTEM INTERFACE "${torch_root}/include"
                                                       "${torch_root}/include/torch/csrc/api/include")
target_compile_definitions(pace_torch INTERFACE FMT_HEADER_ONLY)
target_link_libraries(pace_torch INTERFACE pace_torch_cpu pace_c10 nlohmann_json::nlohmann_json)
# Libraries that a CUDA wheel's libtorch_cpu.so needs lie in other wheels, where the loader finds them but not the linker.
target_link_options(pace_torch INTERFACE -Wl,--allow-shlib-undefined)

# at::parallel_for lives in a header and is a plain loop unless OpenMP is on where it is included. GCC's runtime is the
# one that LibTorch brings and uses itself.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(pace_torch INTERFACE -fopenmp)
  target_link_options(pace_torch INTERFACE -fopenmp)
endif()
