# Each target does its own set-up (tools/setup.sh), so that any of them works in a fresh clone.
#   make test PRESET=asan                     another preset of CMakePresets.json
#   make test CMAKE_FLAGS=-DPACE_WERROR=ON    more for CMake
PRESET ?= release
CMAKE_FLAGS ?=
JOBS ?= $(shell nproc)
BUILD := build/$(PRESET)
# LibTorch is not instrumented: containers that cross into it look overflown to AddressSanitizer, what it keeps for good
# looks leaked, and its threads' locks are unseen by ThreadSanitizer.
export ASAN_OPTIONS ?= detect_container_overflow=0:detect_leaks=0
export TSAN_OPTIONS ?= ignore_noninstrumented_modules=1
SOURCES = $(shell git ls-files 'pace/*.h' 'pace/*.inc' 'pace/*.cpp' 'tests/*.h' 'tests/*.cpp' 'bench/*.cpp' 'bench/*.h' 'fuzz/*.cpp' 'fuzz/*.h')

.PHONY: help setup build test demo demo-text bench fuzz lint format tidy clean
help:
	@echo "make demo    make a small vision transformer adaptive and measure it: out/demo/report.html"
	@echo "make demo-text  fine-tune MiniLM on movie reviews, give it exits and measure it: out/demo-text/report.html"
	@echo "make test    build and run every test"
	@echo "make build   build/release/pace"
	@echo "make bench   microbenchmarks of the kernels"
	@echo "make fuzz    the parsers on broken input, a minute each"
	@echo "make lint    layers, format and scripts; make format mends the format; make tidy runs clang-tidy"
	@echo "make clean   removes build/ and out/"

setup:
	@tools/setup.sh build

build: setup
	cmake --preset $(PRESET) -DPACE_TESTS=OFF $(CMAKE_FLAGS)
	cmake --build $(BUILD) -j $(JOBS)

test:
	@tools/setup.sh test
	cmake --preset $(PRESET) -DPACE_TESTS=ON $(CMAKE_FLAGS)
	cmake --build $(BUILD) -j $(JOBS)
	ctest --test-dir $(BUILD) --output-on-failure

demo:
	@tools/setup.sh build demo
	cmake --preset $(PRESET) $(CMAKE_FLAGS) -DPACE_TESTS=OFF
	cmake --build $(BUILD) -j $(JOBS) --target pace
	tools/demo.sh $(BUILD)/pace

demo-text:
	@tools/setup.sh build text
	cmake --preset $(PRESET) $(CMAKE_FLAGS) -DPACE_TESTS=OFF
	cmake --build $(BUILD) -j $(JOBS) --target pace
	tools/demo_text.sh $(BUILD)/pace

bench:
	@tools/setup.sh build bench
	cmake --preset release -DPACE_TESTS=OFF -DPACE_BENCH=ON $(CMAKE_FLAGS)
	cmake --build build/release -j $(JOBS) --target pace_bench
	build/release/bench/pace_bench

fuzz:
	@tools/setup.sh fuzz
	tools/fuzz.sh

lint:
	@tools/setup.sh lint
	python3 tools/check_layers.py
	python3 tests/tools/check_layers_test.py
	clang-format --dry-run -Werror $(SOURCES)
	shellcheck .ci/run $(wildcard tools/*.sh)

format:
	clang-format -i $(SOURCES)

tidy:
	@tools/setup.sh lint
	cmake --preset debug -DPACE_TESTS=OFF -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -B build/tidy
	run-clang-tidy -quiet -p build/tidy -j $(JOBS) '/pace/.*\.cpp$$'

clean:
	rm -rf build out
