"""Tests of `bitdrop.torch`, skipped without PyTorch."""
