#!/usr/bin/env bash
# Free-threaded CPython, built from Debian's source package; bitdrop's tests on it, without the lock.
#   bash platforms/free-threaded.sh 3.14          the test suite, then the core files in parallel threads
#   bash platforms/free-threaded.sh 3.13 --tsan   CPython and bitdrop under ThreadSanitizer: the threaded tests
# About 6 minutes for CPython on two cores, once if BITDROP_SCRATCH keeps it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

version=${1:?"which Python: 3.13 of Debian 13, 3.14 or newer of sid"}
suite=$([ "$version" = 3.13 ] && echo trixie || echo sid)
sanitize=
[ "${2:-}" != --tsan ] || sanitize=thread

build_python() {
    local options=(--disable-gil --prefix="$prefix" --disable-test-modules --without-static-libpython
        --with-ensurepip=install)
    [ -z "$sanitize" ] || options+=(--with-thread-sanitizer)
    debian_source "$suite" "python$version" "$source"
    rm -rf "$scratch/build$version$sanitize" "$prefix"
    mkdir -p "$scratch/build$version$sanitize"
    (
        cd "$scratch/build$version$sanitize"
        "$source/configure" -q "${options[@]}"
        "${run[@]}" make -s -j "$jobs"
        "${run[@]}" make -s install
    ) >"$scratch/python$version$sanitize.log" 2>&1 || { tail -n 40 "$scratch/python$version$sanitize.log"; return 1; }
    touch "$prefix/made"
}

install_packages gcc g++ make cmake ninja-build libssl-dev zlib1g-dev libffi-dev libsqlite3-dev libbz2-dev liblzma-dev
need gcc g++ make setarch
# ThreadSanitizer's memory map needs addresses that are not random: setarch -R.
run=()
# Reports are off while CPython is built and pip runs: races of CPython alone must not end them.
[ -z "$sanitize" ] || run=(env TSAN_OPTIONS="report_bugs=0 ${TSAN_OPTIONS:-}" setarch -R)
source=$scratch/source$version
prefix=$scratch/python$version$sanitize
if ! [ -e "$prefix/made" ]; then
    say "CPython $version, free-threaded${sanitize:+, under ThreadSanitizer}"
    build_python
fi

rm -rf "$scratch/venv$version$sanitize"
"${run[@]}" "$prefix/bin/python3" -m venv "$scratch/venv$version$sanitize"
python=$scratch/venv$version$sanitize/bin/python
pip_install() {
    "${run[@]}" "$python" -m pip install -q --disable-pip-version-check "$@"
}
say "bitdrop for it"
# The newest NumPy may have no wheel for this Python, and its source takes long.
pip_install --only-binary=numpy numpy
settings=(--config-settings=build-dir="$scratch/bitdrop$version$sanitize")
[ -z "$sanitize" ] || settings+=(--config-settings=cmake.define.BITDROP_SANITIZE=thread)
pip_install "${settings[@]}" "$root"
packages=("pytest>=8" hypothesis ml_dtypes)
# Without a minimum version, pip would look for an old dask that has all its wheels.
[ -n "$sanitize" ] || packages+=(scipy "dask[array]>=2025" "distributed>=2025")
for package in "${packages[@]}"; do
    pip_install --only-binary=:all: "$package" 2>"$scratch/pip.log" || say "Without $package: no wheel for this Python"
done
cd "$root"
if [ -z "$sanitize" ]; then
    PYTHON_GIL=0 "$python" -m pytest -q
    pip_install pytest-run-parallel
    say "The core files, each test in four threads at once"
    PYTHON_GIL=0 "$python" -m pytest -q --parallel-threads=4 tests/contract/test_records.py tests/contract/test_options.py \
        tests/numpy/test_fused.py tests/numpy/test_rng.py \
        tests/engine/test_core.py tests/engine/test_kernels.py
else
    # CPython has races of its own, and lists only some of them: a report counts if it has a frame of bitdrop.
    export TSAN_OPTIONS="suppressions=$source/Tools/tsan/suppressions_free_threading.txt exitcode=0 history_size=4"
    PYTHON_GIL=0 setarch -R "$python" -m pytest -q -s tests/engine/test_threads.py \
        tests/numpy/test_locked.py tests/engine/test_faults.py -k "thread and not exits and not fork" \
        >"$scratch/tsan.log" 2>&1 || { tail -n 60 "$scratch/tsan.log"; exit 1; }
    tail -n 5 "$scratch/tsan.log"
    say "Reports of ThreadSanitizer: $(grep -c "^WARNING: ThreadSanitizer" "$scratch/tsan.log" || true)"
    # Frames of the extension are named by its file; a report ends with a line of equal signs.
    awk '/^WARNING: ThreadSanitizer/ { report = ""; ours = 0; inside = 1 }
        inside { report = report $0 "\n"; if (/_core\.cpython/) ours = 1 }
        /^==================$/ { if (inside && ours) { printf "%s", report; found = 1 } inside = 0 }
        END { exit found }' "$scratch/tsan.log"
fi
