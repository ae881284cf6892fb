#!/usr/bin/env bash
# The tests of bitdrop.jax with a version of JAX, from the sources alone:
#   bash platforms/jax.sh 0.6.1
#   bash platforms/jax.sh newest
#   bash platforms/jax.sh 0.6.1 dist/bitdrop.whl     with a wheel that has been built
# Equinox and Flax are tested with the newest version, because others need versions of their own.
# About 6 minutes on two cores.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=${1:?"which JAX: a version, or newest"}
python3 -m venv "$scratch/venv"
python=$scratch/venv/bin/python
pip_install() { "$python" -m pip install -q --disable-pip-version-check "$@"; }
package=${2:-$root}
packages=(jax "${package}[jax,jax-test,examples]")
[ "$version" = newest ] || packages=("jax==$version" "jaxlib==$version" "${package}[jax]")
# The first package alone, so that a version that is not to be had skips, and a build that fails does not.
pip_install "${packages[0]}" || skip "pip cannot install JAX $version"
say "Without JAX's headers: the wheel is built in isolation"
pip_install "${packages[@]}" "pytest>=8" pytest-xdist hypothesis ml_dtypes scipy
(cd "$scratch" && "$python" -c 'import bitdrop.jax, jax; print("JAX", jax.__version__)')
cd "$root"
"$python" -m pytest -q -n 2 tests/jax bitdrop.jax
