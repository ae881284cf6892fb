"""Statistics of masks and of noise, and rejection of those with planted faults.

All seeds are fixed, so each result is reproducible. When the seeds were chosen, the probability that sound
masks, or sound noise, fail anywhere in this file was below FAMILY_WISE_ERROR. By Bonferroni's inequality
this holds for any dependence between the counts and sums: each measure gets an equal part of the error, and
each of its p-values an equal part of that. The p-values of counts are exact or too large, never too small.
"""

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, norm

from tests.helpers import noise_measures, noise_oracle, oracle, planted_faults, statistics_measures
from tests.helpers.noise_measures import of_squares, of_sums
from tests.helpers.statistics_measures import PValues, p_values

FAMILY_WISE_ERROR = 1e-6
MEASURES: dict[str, dict[str, Any]] = {
    "masks": statistics_measures.MEASURES,
    "noise": noise_measures.MEASURES,
}
ENGINES: dict[str, Any] = {"masks": planted_faults.masks_of_engine, "noise": planted_faults.noise_of_engine}
ORACLES = {"masks": (oracle, "kept"), "noise": (noise_oracle, "normals")}
FAULTS = {"masks": planted_faults.MASK_FAULTS, "noise": planted_faults.NOISE_FAULTS}
ALL = [(subject, measure) for subject, measures in MEASURES.items() for measure in measures]
REJECTED = [
    (subject, fault, measure)
    for subject, faults in FAULTS.items()
    for fault, (*_, noticed) in faults.items()
    for measure in noticed
]


def check(found: PValues, subject: str, accepted: bool = True) -> None:
    """Check that a measure's p-values accept their source, or reject it."""
    smallest = found.min() * len(MEASURES[subject]) * found.size
    assert (smallest >= FAMILY_WISE_ERROR) == accepted, f"{np.argmin(found)}: {found.min()} of {found.size}"


@cache
def faulty(subject: str, fault: str) -> Any:
    old, new, _ = FAULTS[subject][fault]
    return planted_faults.altered_function(*ORACLES[subject], old, new)


@pytest.mark.parametrize(("subject", "measure"), ALL)
def test_engine_passes_every_measure(subject: str, measure: str) -> None:
    check(MEASURES[subject][measure](ENGINES[subject]), subject)


@pytest.mark.slow  # one minute, and the engine has no part in it
@pytest.mark.parametrize(("subject", "fault", "measure"), REJECTED)
def test_planted_fault_is_rejected(subject: str, fault: str, measure: str) -> None:
    check(MEASURES[subject][measure](faulty(subject, fault)), subject, accepted=False)


def test_every_measure_rejects_some_fault() -> None:
    assert {(subject, measure) for subject, _, measure in REJECTED} == set(ALL)


@pytest.mark.slow
@pytest.mark.parametrize(("measure", "size"), [("moments", 2**31), ("cells", 2**30), ("tails", 2**33)])
def test_engine_passes_with_billions_of_numbers(measure: str, size: int) -> None:
    check(noise_measures.MEASURES[measure](ENGINES["noise"], size), "noise")  # type: ignore[call-arg]


def test_stream_1_of_key_is_not_stream_0_of_next_key() -> None:
    """An early draft of the format added the stream number before it mixed the key."""
    draft, engine = (
        faulty("masks", "the stream is added to the key before it is mixed"),
        planted_faults.masks_of_engine,
    )
    assert np.array_equal(draft((1, 2), 1, 0.5, 0, 4096), draft((1, 3), 0, 0.5, 0, 4096))
    differ = np.count_nonzero(engine((1, 2), 1, 0.5, 0, 4096) ^ engine((1, 3), 0, 0.5, 0, 4096))
    assert p_values(differ, 4096, 0.5)[0] > FAMILY_WISE_ERROR


# The measures themselves


@pytest.mark.parametrize(("trials", "probability"), [(20, 0.5), (50, 0.03), (7, 0.9)])
def test_p_values_are_exact(trials: int, probability: float) -> None:
    """P-values at or below a level have at most this probability."""
    counts = np.arange(trials + 1)
    found = p_values(counts, trials, probability)
    chance = binom.pmf(counts, trials, probability)
    for level in found:
        assert chance[found <= level].sum() <= level * (1 + 1e-9)
    extreme = [2 * chance[: k + 1].sum() for k in counts if chance[: k + 1].sum() < 0.5]
    np.testing.assert_allclose(found[: len(extreme)], np.minimum(extreme, 1), rtol=1e-9)


def test_p_values_are_uniform_for_normal_numbers() -> None:
    z = np.random.default_rng(0).standard_normal((20000, 50))
    for found in (of_sums(z.sum(axis=1), 50), of_squares((z * z).sum(axis=1), 50)):
        for level in (0.5, 0.1, 0.01):
            count = np.count_nonzero(found <= level)
            assert abs(count - 20000 * level) < 6 * np.sqrt(20000 * level * (1 - level))
    np.testing.assert_allclose(of_sums([1.959963984540054, 0.0], 1), [0.05, 1.0])
    np.testing.assert_allclose(of_sums(2 * norm.isf(1e-9), 4), 2e-9)
