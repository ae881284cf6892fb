"""Settings of JAX for its tests: several devices, and 64-bit dtypes."""

from importlib.util import find_spec

if find_spec("jax") is not None:
    import jax

    jax.config.update("jax_num_cpu_devices", 4)
    jax.config.update("jax_enable_x64", True)
