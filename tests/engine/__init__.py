"""Tests of the engine and the process: kernels, mask format, statistics, memory, threads, settings."""
