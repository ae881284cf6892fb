#!/usr/bin/env bash
# The engine and its C++ tests for 64-bit Windows. About 3 minutes on two cores.
#   bash platforms/windows.sh         compiled by MinGW's GCC, run under Wine
#   bash platforms/windows.sh clang   compiled by ziglang (PyPI), which is Clang: arm64 not run, x86-64 run under Wine
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Wine's own files, and no window.
start_wine() {
    export WINEPREFIX=$scratch/wine WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml=" DISPLAY=
    # One server until the end: a program that starts while the last one's server ends may fail.
    wineserver --persistent 2>/dev/null || true
    wine wineboot --init >/dev/null 2>&1 || skip "wine does not start"
    trap 'wineserver --kill 2>/dev/null || true
        [ -n "${BITDROP_SCRATCH:-}" ] || rm -rf --one-file-system "$scratch"' EXIT
}

install_packages cmake ninja-build wine wine64
if [ "${1:-gcc}" = gcc ]; then
    install_packages g++-mingw-w64-x86-64-posix
    need cmake ninja wine x86_64-w64-mingw32-g++-posix
    start_wine
    say "C++ tests on Windows: $(x86_64-w64-mingw32-g++-posix --version | head -n 1), $(wine --version)"
    preset windows "$scratch/gcc" test
else
    install_packages python3-venv
    need cmake ninja wine python3
    virtual_environment ziglang
    start_wine
    say "C++ tests on Windows: zig $("$python" -m ziglang version), $(wine --version)"
    zig_compiler aarch64-windows-gnu
    preset windows "$scratch/arm64" build "${compiler[@]}" -DCMAKE_SYSTEM_PROCESSOR=ARM64
    zig_compiler x86_64-windows-gnu
    preset windows "$scratch/clang" test "${compiler[@]}"
fi
