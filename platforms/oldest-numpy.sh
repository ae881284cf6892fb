#!/usr/bin/env bash
# The Python tests with the oldest NumPy that pyproject.toml allows. About 5 minutes on two cores.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

oldest=$(sed -n 's/^dependencies = \["numpy>=\(.*\)"\]$/\1/p' "$root/pyproject.toml")
[ -n "$oldest" ] || { echo "pyproject.toml names no oldest NumPy" >&2; exit 1; }
need python3
virtual_environment --only-binary=numpy "$root[test]" "numpy==$oldest.*"
say "Python tests: $("$python" --version), NumPy $("$python" -c "import numpy; print(numpy.__version__)")"
cd "$root"
"$python" -m pytest -q
