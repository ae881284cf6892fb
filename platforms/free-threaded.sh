#!/usr/bin/env bash
# Free-threaded CPython 3.13, built from Debian's source package; bitdrop's tests on it, without the lock.
#   bash platforms/free-threaded.sh          the test suite, then the core files in parallel threads
#   bash platforms/free-threaded.sh --tsan   CPython and bitdrop under ThreadSanitizer: the threaded tests
# About 6 minutes for CPython on two cores, once if BITDROP_SCRATCH keeps it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

sanitize=
[ "${1:-}" != --tsan ] || sanitize=thread

build_python() {
    local options=(--disable-gil --prefix="$prefix" --disable-test-modules --without-static-libpython
        --with-ensurepip=no)
    [ -z "$sanitize" ] || options+=(--with-thread-sanitizer)
    debian_source trixie python3.13 "$scratch/source"
    rm -rf "$scratch/build$sanitize"
    mkdir -p "$scratch/build$sanitize"
    (
        cd "$scratch/build$sanitize"
        # Debian's makefile takes the linker's flags from the environment alone.
        [ -z "$sanitize" ] || export LDFLAGS=-fsanitize=thread
        "$scratch/source/configure" -q "${options[@]}"
        "${run[@]}" make -s -j "$jobs"
        "${run[@]}" make -s install
    ) >"$scratch/python$sanitize.log" 2>&1 || { tail -n 40 "$scratch/python$sanitize.log"; return 1; }
}

install_packages gcc g++ make cmake ninja-build libssl-dev zlib1g-dev libffi-dev libsqlite3-dev libbz2-dev liblzma-dev \
    python3-venv
need gcc g++ make setarch python3
# ThreadSanitizer's memory map does not fit where the kernel places libraries at random.
run=()
[ -z "$sanitize" ] || run=(setarch -R)
prefix=$scratch/python$sanitize
if ! [ -x "$prefix/bin/python3" ]; then
    say "CPython, free-threaded${sanitize:+, under ThreadSanitizer}"
    build_python
fi
