#!/usr/bin/env bash
# The engine and its C++ tests with musl in place of glibc: compiled by ziglang (PyPI), linked statically, run here.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ "$(uname -s)" = Linux ] || skip "needs Linux"
install_packages cmake ninja-build python3-venv
need cmake ninja python3
virtual_environment ziglang
zig_compiler "$(uname -m)-linux-musl"
say "C++ tests with musl: zig $("$python" -m ziglang version)"
preset native "$scratch/build" test "${compiler[@]}"
