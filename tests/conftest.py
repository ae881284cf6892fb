"""Fixtures of all tests: instruction sets, dtypes, settings of the process."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bitdrop import _core
from hypothesis import settings

from tests.helpers.support import DTYPES

# The same examples in each run, so that failures are reproducible and the time is known.
settings.register_profile("bitdrop", deadline=None, derandomize=True, database=None)
settings.load_profile("bitdrop")

# Without this, sleeping threads are used only for arrays larger than those of most tests.
_core.testing.set_waking_factor(1)


@pytest.fixture(params=_core.isas())
def isa(request: pytest.FixtureRequest) -> str:
    """Name of an instruction set of this machine. The test runs once with each."""
    return str(request.param)


@pytest.fixture(params=DTYPES, ids=[dtype.name for dtype in DTYPES])
def dtype(request: pytest.FixtureRequest) -> np.dtype[Any]:
    """Supported dtype. The test runs once with each."""
    dtype: np.dtype[Any] = request.param
    return dtype


@pytest.fixture
def settings_restored() -> Iterator[None]:
    """Restore instruction set, threads, threshold of non-temporal stores and buffer limit after the test."""
    isa, threads = _core.get_isa(), _core.get_num_threads()
    non_temporal, buffers = _core.get_non_temporal_threshold(), _core.get_buffer_limit()
    yield
    _core.set_isa(isa)
    _core.set_num_threads(threads)
    _core.set_non_temporal_threshold(non_temporal)
    _core.set_buffer_limit(buffers)
