"""Settings of JAX for its tests: several devices, and 64-bit dtypes."""

import pytest

jax = pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", True)
