"""Tests of `bitdrop.dask`."""
