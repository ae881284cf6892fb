"""Settings of JAX for its tests: several devices, and 64-bit dtypes."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

HAS_JAX = find_spec("jax") is not None
if HAS_JAX:
    import jax

    jax.config.update("jax_num_cpu_devices", 4)  # before JAX is first used


@pytest.fixture(scope="package", autouse=True)
def dtypes_of_64_bits() -> Iterator[None]:
    """Let the tests have them, and not the examples in docstrings, which run in the same process."""
    if HAS_JAX:
        jax.config.update("jax_enable_x64", True)
    yield
    if HAS_JAX:
        jax.config.update("jax_enable_x64", False)
