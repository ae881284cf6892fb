#!/usr/bin/env bash
# The wheel and the Python tests with another Python, in a root of a Debian suite:
#   bash platforms/python.sh trixie           its python3
#   bash platforms/python.sh sid 3.15         another one that the suite has
#   bash platforms/python.sh trixie 3.13 FILE.whl   the tests of a wheel that exists
# Or with one that is installed here, and with another NumPy:
#   bash platforms/python.sh python3.12 "numpy==1.26.*"
# About 4 minutes on two cores. A suite needs root, for a scratch folder of its own.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

if have "${1:?"which suite of Debian, or which Python"}"; then
    say "Wheel and tests: $("$1" --version) ${*:2}"
    "$1" -m venv "$scratch/venv"
    python=$scratch/venv/bin/python
    "$python" -m pip install -q --disable-pip-version-check "$root[test]" "${@:2}"
    (cd "$scratch" && "$python" -m bitdrop)
    cd "$root"
    "$python" -m pytest -q
    exit
fi

suite=$1
python=python3${2:+.${2#3.}}
wheel=${3:-}
debian_root "$suite" python3 "$python" "$python-venv" "$python-dev" g++ cmake ninja-build
[ -z "$wheel" ] || cp "$wheel" "$debian/scratch/"
in_root "$python" --version
say "Wheel and tests: Debian $suite, $(in_root "$python" --version)"
in_root bash -euc '
    python=$1 wheel=$2
    rm -rf /scratch/venv /scratch/work && cp -r /source /scratch/work && cd /scratch/work && rm -rf build dist
    "$python" -m venv /scratch/venv
    pip="/scratch/venv/bin/python -m pip"
    $pip install -q --upgrade pip || { echo "Skipped: pip reaches no packages"; exit 77; }
    if [ -z "$wheel" ]; then
        $pip wheel -q --no-deps -w dist . && wheel=$(ls dist/*.whl)
    else
        wheel=/scratch/$(basename "$wheel")
    fi
    # Packages without a wheel for this Python yet are left out, except those that bitdrop needs: tests skip. Without a
    # minimum version, pip would look for an old dask that has all its wheels.
    $pip install -q "$wheel"
    for package in "pytest>=8" hypothesis ml_dtypes scipy "dask[array]>=2025" "distributed>=2025"; do
        $pip install -q --only-binary=:all: "$package" 2>/scratch/pip.log ||
            echo "Without $package: no wheel for this Python"
    done
    /scratch/venv/bin/python -m bitdrop
    /scratch/venv/bin/python -m pytest -q
' in_root "$python" "$wheel"
