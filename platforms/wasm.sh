#!/usr/bin/env bash
# The engine and its C++ tests as WebAssembly: compiled by Emscripten, run by Node.js. Scalar kernels.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_packages cmake ninja-build emscripten
need cmake ninja em++ node
# Emscripten builds its own libraries on first use, into a folder that must be writable.
export EM_CACHE=$scratch/cache EM_FROZEN_CACHE=0
toolchain=$(find "$(em-config EMSCRIPTEN_ROOT 2>/dev/null || echo /usr/share/emscripten)" -name Emscripten.cmake | head -n 1)
[ -n "$toolchain" ] || skip "Emscripten has no CMake toolchain file"
say "C++ tests as WebAssembly: $(em++ --version | head -n 1), node $(node --version)"
preset native "$scratch/build" test -DCMAKE_TOOLCHAIN_FILE="$toolchain" \
    -DCMAKE_CXX_FLAGS="-pthread" \
    -DCMAKE_EXE_LINKER_FLAGS="-sPTHREAD_POOL_SIZE=8 -sPROXY_TO_PTHREAD -sEXIT_RUNTIME -sNODERAWFS -sINITIAL_MEMORY=512MB"
