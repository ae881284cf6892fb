#!/usr/bin/env bash
# The engine and its C++ tests for 64-bit Windows: compiled by MinGW, run under Wine. About 3 minutes.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_packages cmake ninja-build g++-mingw-w64-x86-64-posix wine wine64
need cmake ninja x86_64-w64-mingw32-g++-posix wine
# Wine's own files, and no window.
export WINEPREFIX=$scratch/wine WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml=" DISPLAY=
wine wineboot --init >/dev/null 2>&1 || skip "wine does not start"
trap 'wineserver --kill 2>/dev/null || true; [ -n "${BITDROP_SCRATCH:-}" ] || rm -rf --one-file-system "$scratch"' EXIT
say "C++ tests on Windows: $(x86_64-w64-mingw32-g++-posix --version | head -n 1), $(wine --version)"
preset windows "$scratch/build" test
