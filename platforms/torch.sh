#!/usr/bin/env bash
# The tests of bitdrop.torch with a version of PyTorch:
#   bash platforms/torch.sh 2.8.0            a version
#   bash platforms/torch.sh                  the newest that pip finds
#   bash platforms/torch.sh 2.14.1 tests/torch/test_contract.py -q    some of the tests
# A wheel that is not a CPU build is installed without CUDA's libraries: stubs take their place.
# About 10 minutes on two cores.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=${1:-}
tests=("${@:2}")
[ ${#tests[@]} -gt 0 ] || tests=(-q tests/torch --pyargs bitdrop.torch)
need python3 gcc g++ readelf nm
virtual_environment filelock typing-extensions sympy networkx jinja2 fsspec setuptools
"$python" -m pip install -q --disable-pip-version-check --no-deps "torch${version:+==$version}" ||
    skip "pip finds no PyTorch $version"
"$python" -m pip install -q --disable-pip-version-check "$root[test]" expecttest onnxscript
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" "$root/platforms/cuda_stubs.py" "$packages" "$scratch/stubs"
export LD_LIBRARY_PATH=$scratch/stubs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
say "Tests: PyTorch $(cd "$scratch" && "$python" -c 'import torch; print(torch.__version__)')"
cd "$root"
"$python" -m pytest "${tests[@]}"
