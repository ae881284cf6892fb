"""Statistics of masks, and rejection of masks with planted faults.

All seeds are fixed, so each result is reproducible. When the seeds were chosen, the probability that a sound
generator fails anywhere in this file was below FAMILY_WISE_ERROR. By Bonferroni's inequality this holds for
any dependence between the counts: each measure gets an equal part of the error, and each of its counts an
equal part of that. The p-values of counts are exact or too large, never too small.
"""

import numpy as np
import pytest
from scipy.stats import binom

from tests.helpers.statistics_measures import MEASURES, PValues, _shares_of_ranks, p_values, ranks
from tests.helpers.statistics_sources import FAULTS, altered_oracle, engine

FAMILY_WISE_ERROR = 1e-6


def rejects(found: PValues) -> bool:
    return bool(found.min() < FAMILY_WISE_ERROR / len(MEASURES) / found.size)


@pytest.mark.parametrize("measure", MEASURES)
def test_engine_passes_every_measure(measure: str) -> None:
    found = MEASURES[measure](engine)
    assert not rejects(found), f"{np.argmin(found)}: {found.min()}, the smallest of {found.size} p-values"


@pytest.mark.parametrize(
    ("fault", "measure"), [(fault, measure) for fault, (*_, noticed) in FAULTS.items() for measure in noticed]
)
def test_planted_fault_is_rejected(fault: str, measure: str) -> None:
    old, new, _ = FAULTS[fault]
    assert rejects(MEASURES[measure](altered_oracle(old, new)))


def test_every_measure_rejects_some_fault() -> None:
    assert {measure for *_, noticed in FAULTS.values() for measure in noticed} == set(MEASURES)


def test_stream_1_of_key_is_not_stream_0_of_next_key() -> None:
    """An early draft of the format added the stream number before it mixed the key."""
    old, new, _ = FAULTS["the stream is added to the key before it is mixed"]
    draft = altered_oracle(old, new)
    assert np.array_equal(draft((1, 2), 1, 0.5, 0, 4096), draft((1, 3), 0, 0.5, 0, 4096))
    differ = np.count_nonzero(engine((1, 2), 1, 0.5, 0, 4096) ^ engine((1, 3), 0, 0.5, 0, 4096))
    assert p_values(differ, 4096, 0.5)[0] > FAMILY_WISE_ERROR


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


def test_ranks_equal_those_of_known_matrices() -> None:
    rows = np.random.default_rng(0).integers(0, 2**64, (3, 64), dtype=np.uint64)
    rows[1, 40:] = rows[1, :24] ^ rows[1, 16:40]  # sums of other rows
    rows[2] = rows[2, 0]
    identity = np.uint64(1) << np.arange(64, dtype=np.uint64)[None]
    found = ranks(np.concatenate([rows, identity, np.zeros_like(identity)]))
    assert found[0] >= 62
    assert found[1:].tolist() == [40, 1, 64, 0]


def test_shares_of_ranks_equal_published_values() -> None:
    # Marsaglia and Tsay, "Matrices and the structure of random number sequences", Linear Algebra and its
    # Applications 67, 1985.
    np.testing.assert_allclose(_shares_of_ranks(64, 4), [0.2888, 0.5776, 0.1284, 0.0052], atol=1e-4)
    matrices = [np.array([[a, b], [c, d]]) for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1)]
    determinants = [round(np.linalg.det(matrix)) % 2 for matrix in matrices]
    np.testing.assert_allclose(_shares_of_ranks(2, 3)[0], np.mean(determinants))
