#!/usr/bin/env bash
# The engine, its C++ tests and the Python extension for macOS: compiled and linked by ziglang (PyPI), not run.
#   bash platforms/macos.sh [aarch64|x86_64]    without an argument: both
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_packages cmake ninja-build python3-venv
need cmake ninja python3
virtual_environment ziglang pybind11
for processor in ${1:-aarch64 x86_64}; do
    zig_compiler "$processor-macos"
    say "Compiled and linked for macOS on $processor: zig $("$python" -m ziglang version)"
    # The headers are those of the Python that runs this; symbols of Python are looked up when a module is loaded.
    preset native "$scratch/$processor" build "${compiler[@]}" -DBITDROP_PYTHON=ON \
        -DCMAKE_SYSTEM_NAME=Darwin -DCMAKE_SYSTEM_PROCESSOR="$processor" -DCMAKE_OSX_ARCHITECTURES= \
        -DCMAKE_OSX_SYSROOT= -DCMAKE_STRIP= -DPython_EXECUTABLE="$python" \
        -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)"
    file "$scratch/$processor"/*.so "$scratch/$processor/tests/cpp/test_golden" 2>/dev/null || true
done
