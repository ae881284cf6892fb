"""Tests of `bitdrop.jax`. They need JAX: `pip install '.[jax]'`."""
