#!/usr/bin/env bash
# The tests of bitdrop.torch with a version of PyTorch:
#   bash platforms/torch.sh                  the newest that pip finds
#   bash platforms/torch.sh 2.8.0            another one
#   bash platforms/torch.sh newest dist/bitdrop.whl     with a wheel that has been built
#   bash platforms/torch.sh 2.8.0 -q tests/torch/test_contract.py     some of the tests; a wheel may come before them
# A wheel of PyTorch that is not a CPU build is installed without CUDA's libraries: stubs take their place.
# About 10 minutes on two cores.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=${1:-newest}
package=$root
[ $# -eq 0 ] || shift
[[ ${1:-} != *.whl ]] || { package=$1 && shift; }
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(-q tests/torch bitdrop.torch tests/project/test_docs.py)
[ "$version" = newest ] && torch=torch || torch=torch==$version
need python3 gcc g++ readelf nm
virtual_environment filelock fsspec jinja2 networkx setuptools sympy typing-extensions
pip_install() { "$python" -m pip install -q --disable-pip-version-check "$@"; }
pip_install --upgrade --no-deps "$torch" || skip "pip cannot install PyTorch $version"
pip_install "${package}[test]" expecttest onnxscript
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" "$root/platforms/cuda_stubs.py" "$packages" "$scratch/stubs"
export LD_LIBRARY_PATH=$scratch/stubs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
say "Tests: PyTorch $(cd "$scratch" && "$python" -c 'import torch; print(torch.__version__)')"
cd "$root"
"$python" -m pytest "${tests[@]}"
