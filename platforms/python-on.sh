#!/usr/bin/env bash
# The Python package and its tests on another processor, with the Python and the NumPy of a Debian suite:
#   bash platforms/python-on.sh i386            32 bits, run by a 64-bit x86 itself: about 8 minutes on two cores
#   bash platforms/python-on.sh arm64 [SUITE]   emulated by QEMU, a selection of the tests: about 40 minutes
# Needs root, for a scratch folder of its own. Processors have Debian's names: arm64, armhf, ppc64el, riscv64, s390x.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

architecture=${1:?"which processor, by Debian's name: i386, arm64, s390x, ..."}
suite=${2:-trixie}
install_packages arch-test
need arch-test
if ! arch-test "$architecture" >/dev/null; then
    # The kernel runs foreign programs in the emulator once it has been told their format.
    install_packages qemu-user-static binfmt-support
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || true
    update-binfmts --enable >/dev/null 2>&1 || true
    arch-test "$architecture" >/dev/null || skip "programs for $architecture cannot be run here"
fi
tests=(tests/contract tests/engine tests/numpy)
if ! [[ $architecture = i386 && $(uname -m) = x86_64 ]]; then
    # Tests of what the Python layer reads and writes by itself: words, bytes, bits, strides, pickles.
    tests=(tests/engine/test_{config,core,golden,kernels,mask_format,noise_format,stream}.py
        tests/numpy/test_{fused,kept_indices,locked,numbers,rng}.py tests/contract/test_{records,layers,options}.py
        # QEMU 7.2 lacks the ioctl (TCGETS2) by which new versions of glibc recognise a terminal.
        --deselect tests/engine/test_stream.py::test_output_to_terminal_is_refused)
fi
debian_root "$suite:$architecture" python3 python3-dev python3-venv python3-numpy python3-scipy python3-pytest \
    python3-hypothesis g++ cmake ninja-build
say "Wheel and tests on $architecture, Debian $suite"
personality=()
[ "$architecture" != i386 ] || personality=(linux32)  # else pip takes the machine for one of 64 bits
in_root "${personality[@]}" bash -euc '
    python3 -c "import numpy, platform, sys
print(platform.machine(), platform.architecture()[0], sys.byteorder, \"endian\", sys.version.split()[0], numpy.__version__)"
    rm -rf /scratch/work && cp -r /source /scratch/work && cd /scratch/work && rm -rf build dist
    # The packages of Debian serve too: PyPI has no wheels for these processors.
    [ -d /scratch/venv ] || python3 -m venv --system-site-packages /scratch/venv
    pip="/scratch/venv/bin/python -m pip"
    $pip install -q pybind11 scikit-build-core setuptools || { echo "Skipped: pip reaches no packages"; exit 77; }
    $pip install -q --no-build-isolation ml_dtypes
    $pip install -q --no-build-isolation --no-deps --force-reinstall .
    /scratch/venv/bin/python -m bitdrop
    /scratch/venv/bin/python -m pytest -q "$@"
' in_root "${tests[@]}"
