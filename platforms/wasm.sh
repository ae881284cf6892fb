#!/usr/bin/env bash
# The engine and its C++ tests as WebAssembly: compiled by Emscripten, run by Node.js. Scalar kernels.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_packages cmake ninja-build emscripten node-acorn
need cmake ninja em++ node
# A Node.js from elsewhere does not look there.
export NODE_PATH=/usr/share/nodejs${NODE_PATH:+:$NODE_PATH}
toolchain=$(find "$(em-config EMSCRIPTEN_ROOT 2>/dev/null || echo /usr/share/emscripten)" -name Emscripten.cmake | head -n 1)
[ -n "$toolchain" ] || skip "Emscripten has no CMake toolchain file"
say "C++ tests as WebAssembly: $(em++ --version | head -n 1), node $(node --version)"
# --no-experimental-fetch: this Emscripten mistakes a Node.js that has fetch() for a browser.
preset native "$scratch/build" test -DCMAKE_TOOLCHAIN_FILE="$toolchain" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="node;--no-experimental-fetch" -DCMAKE_CXX_FLAGS="-pthread -fexceptions" \
    -DCMAKE_EXE_LINKER_FLAGS="-sPTHREAD_POOL_SIZE=8 -sPROXY_TO_PTHREAD -sEXIT_RUNTIME -sNODERAWFS -sINITIAL_MEMORY=1GB"
