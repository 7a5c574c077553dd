# Compiler settings shared by every target.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The precompiled header is keyed by its contents, not by the time it was made.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CCACHE})
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endif()

# The arithmetic is in LibTorch and in kernels with their own flags; -O3 only costs compile time.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

set(PACE_WARNINGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
                  $<$<BOOL:${PACE_WERROR}>:-Werror>)

if(PACE_SANITIZE)
  add_compile_options(-fsanitize=${PACE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PACE_SANITIZE})
endif()
