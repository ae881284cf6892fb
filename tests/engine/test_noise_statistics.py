"""Statistics of noise, and rejection of noise with planted faults.

All seeds are fixed, so each result is reproducible. When the seeds were chosen, the probability that sound
noise fails anywhere in this file was below FAMILY_WISE_ERROR. By Bonferroni's inequality this holds for any
dependence between the sums: each measure gets an equal part of the error, and each of its p-values an equal
part of that.
"""

from functools import cache

import numpy as np
import pytest
from scipy.stats import norm

from tests.helpers.noise_measures import MEASURES, cells, moments, of_squares, of_sums, tails
from tests.helpers.noise_sources import FAULTS, Source, altered_oracle, engine
from tests.helpers.statistics_measures import PValues

FAMILY_WISE_ERROR = 1e-6


def rejects(found: PValues) -> bool:
    return bool(found.min() < FAMILY_WISE_ERROR / len(MEASURES) / found.size)


@cache
def faulty(fault: str) -> Source:
    old, new, _ = FAULTS[fault]
    return altered_oracle(old, new)


@pytest.mark.parametrize("measure", MEASURES)
def test_engine_passes_every_measure(measure: str) -> None:
    found = MEASURES[measure](engine)
    assert not rejects(found), f"{np.argmin(found)}: {found.min()}, the smallest of {found.size} p-values"


@pytest.mark.parametrize(
    ("fault", "measure"), [(fault, measure) for fault, (*_, noticed) in FAULTS.items() for measure in noticed]
)
def test_planted_fault_is_rejected(fault: str, measure: str) -> None:
    assert rejects(MEASURES[measure](faulty(fault)))


def test_every_measure_rejects_some_fault() -> None:
    assert {measure for *_, noticed in FAULTS.values() for measure in noticed} == set(MEASURES)


@pytest.mark.slow
@pytest.mark.parametrize(("measure", "size"), [(moments, 2**31), (cells, 2**30), (tails, 2**33)])
def test_engine_passes_with_billions_of_numbers(measure: object, size: int) -> None:
    assert callable(measure)
    found = measure(engine, size)
    assert not rejects(found), f"{np.argmin(found)}: {found.min()}, the smallest of {found.size} p-values"


def test_p_values_are_uniform_for_normal_numbers() -> None:
    z = np.random.default_rng(0).standard_normal((20000, 50))
    for found in (of_sums(z.sum(axis=1), 50), of_squares((z * z).sum(axis=1), 50)):
        for level in (0.5, 0.1, 0.01):
            count = np.count_nonzero(found <= level)
            assert abs(count - 20000 * level) < 6 * np.sqrt(20000 * level * (1 - level))
    np.testing.assert_allclose(of_sums([1.959963984540054, 0.0], 1), [0.05, 1.0])
    np.testing.assert_allclose(of_sums(2 * norm.isf(1e-9), 4), 2e-9)
