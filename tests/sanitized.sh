#!/usr/bin/env bash
# Python tests with the engine under AddressSanitizer and UndefinedBehaviorSanitizer:
#     tests/sanitized.sh [directory for the build [pytest arguments...]]
# The interpreter is not instrumented, so the sanitizer is preloaded, and leaks, which are the interpreter's, are not
# reported. Tests that measure or limit memory cannot run here and are marked `without_asan`: tests/engine/test_memory.py
# except for Python's own memory, and the example with workers limited to 512 MiB. PyTorch is not installed, so its
# tests are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build/sanitized}
shift $(($# > 0))

python3 -m venv "$build/venv"
"$build/venv/bin/python" -m pip install -q --disable-pip-version-check '.[examples,test]' pytest-xdist \
    --config-settings=build-dir="$build/build" \
    --config-settings=cmake.define.BITDROP_SANITIZE=address,undefined
preload=$(for library in libasan.so libubsan.so libstdc++.so; do "${CXX:-g++}" -print-file-name=$library; done | xargs)
LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    "$build/venv/bin/python" -m pytest "$@"
