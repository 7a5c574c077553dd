#!/usr/bin/env bash
# Runs every fuzz target for a number of seconds each (60 by default): tools/fuzz.sh [SECONDS] [BUILD_FOLDER]
# What makes a parser fail is kept in BUILD_FOLDER/failures, and the exit status is not 0.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
seconds=${1:-60}
build=${2:-$root/build/fuzz}

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=clang++ \
  -DPACE_FUZZ=ON -DPACE_TESTS=OFF >/dev/null
cmake --build "$build" --target fuzz

# LibTorch is not instrumented: containers that cross into it look overflown to AddressSanitizer.
export ASAN_OPTIONS=detect_container_overflow=0
# A picture of 2^28 pixels, the largest that is decoded, takes 0.8 GB and as much again inside the decoder.
memory_mb=6000

"$build/fuzz/fuzz_seeds" "$build/seeds"
mkdir -p "$build/failures"
status=0
for parser in idx image json safetensors; do
  mkdir -p "$build/corpus/$parser"
  echo "== $parser, $seconds s"
  "$build/fuzz/fuzz_$parser" -max_total_time="$seconds" -timeout=20 -rss_limit_mb="$memory_mb" \
    -max_len=8192 -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/failures/$parser-" \
    "$build/corpus/$parser" "$build/seeds/$parser" 2>&1 | grep -v "# Uses:\|recommended dictionary" || status=1
done
exit $status
