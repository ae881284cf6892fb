"""Workers of every kind of pool: an unseeded layer repeats no mask, a seeded one repeats all."""

import json
import os
from importlib.util import find_spec
from typing import Any

import pytest

from tests.helpers.paths import HELPERS
from tests.helpers.support import run_python

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
POOLS = [
    pytest.param("fork", marks=needs_fork),
    "spawn",
    pytest.param("forkserver", marks=needs_fork),
    "executor spawn",
    pytest.param("executor fork", marks=needs_fork),
    pytest.param("joblib", marks=pytest.mark.skipif(find_spec("joblib") is None, reason="needs joblib")),
]


@pytest.mark.parametrize("pool", POOLS)
def test_workers_drop_different_units_unless_seeded(pool: str) -> None:
    process = run_python("-W", "ignore", str(HELPERS / "pool_of_workers.py"), pool)
    assert process.returncode == 0, process.stderr
    outcome: dict[str, Any] = json.loads(process.stdout)
    everyone = [*outcome["workers"], outcome["parent"]]
    for name in ("function", "own", "sent", "noise"):
        assert len({one[name] for one in everyone}) == len(everyone), name
    assert len({one["sent seeded"] for one in everyone}) == 1
    # A worker does several tasks, so its own seeded layer goes on; both workers make the same masks.
    assert len({one["own seeded"] for one in outcome["workers"]}) <= len(outcome["workers"])
    if pool == "fork":  # forked layers go on where the parent was
        assert outcome["parent"]["own seeded"] in {one["own seeded"] for one in outcome["workers"]}
