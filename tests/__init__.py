"""Tests of bitdrop: one folder for the engine, one for each front-end, one for the project around them."""

import sys
from pathlib import Path

# `python -m pytest` started in this folder puts it on sys.path, where tests/numpy would hide NumPy.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent]
