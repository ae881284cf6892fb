#!/usr/bin/env bash
# Free-threaded CPython 3.13, built from Debian's source package; bitdrop's tests on it, without the lock.
#   bash platforms/free-threaded.sh          the test suite, then the core files in parallel threads
#   bash platforms/free-threaded.sh --tsan   CPython and bitdrop under ThreadSanitizer: the threaded tests
# About 6 minutes for CPython on two cores, once if BITDROP_SCRATCH keeps it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

suite=trixie
package=python3.13
sanitize=
[ "${1:-}" != --tsan ] || sanitize=thread

# Sources come from a configuration of apt of their own: this system's stays as it is.
fetch_source() {
    local apt=$scratch/apt
    mkdir -p "$apt"/{parts,lists/partial,cache/archives/partial}
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" \
        >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/parts";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
CONF
    export APT_CONFIG=$apt/apt.conf
    apt-get update -qq && (cd "$apt" && apt-get source -qq "$package") || skip "no source package $package of $suite"
    unset APT_CONFIG
    rm -rf "$scratch/source"
    mv "$apt/$package"-*/ "$scratch/source"
}

build_python() {
    local options=(--disable-gil --prefix="$prefix" --disable-test-modules --without-static-libpython
        --with-ensurepip=no)
    [ -z "$sanitize" ] || options+=(--with-thread-sanitizer LDFLAGS=-fsanitize=thread)
    [ -d "$scratch/source" ] || fetch_source
    rm -rf "$scratch/build$sanitize"
    mkdir -p "$scratch/build$sanitize"
    (
        cd "$scratch/build$sanitize"
        "$scratch/source/configure" -q "${options[@]}"
        "${run[@]}" make -s -j "$jobs"
        "${run[@]}" make -s install
    ) >"$scratch/python$sanitize.log" 2>&1 || { tail -n 40 "$scratch/python$sanitize.log"; return 1; }
}

install_packages dpkg-dev gcc g++ make cmake ninja-build libssl-dev zlib1g-dev libffi-dev libsqlite3-dev libbz2-dev \
    liblzma-dev debian-archive-keyring
need apt-get dpkg-source gcc make cmake setarch
# ThreadSanitizer's memory map does not fit where the kernel places libraries at random.
run=()
[ -z "$sanitize" ] || run=(setarch -R)
prefix=$scratch/python$sanitize
if ! [ -x "$prefix/bin/python3" ]; then
    say "CPython, free-threaded${sanitize:+, under ThreadSanitizer}"
    build_python
fi
