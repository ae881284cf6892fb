"""Many masks of one array in one call, and the example of Monte Carlo dropout that uses it."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bitdrop
import numpy as np
import pytest
from support import assert_identical, normal, run_python

SCRIPT = Path(__file__).parents[1] / "examples" / "monte_carlo.py"


@pytest.mark.parametrize("shape", [(7,), (3, 500), (4, 5, 6)])
def test_broadcast_input_gets_a_mask_for_each_copy(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    x = normal(dtype, shape)
    copies = np.broadcast_to(x, (50, *shape))
    y, mask = bitdrop.dropout(copies, 0.3, rng=0)
    assert_identical(y, bitdrop.dropout(np.ascontiguousarray(copies), 0.3, rng=0)[0])
    assert_identical(mask.backward(copies), y)
    assert len(np.unique(np.asarray(mask).reshape(50, -1), axis=0)) > 25
    assert y.flags.writeable


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs pip install '.[examples]'")
def test_network_is_less_sure_away_from_its_training_set(tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    process = run_python(str(SCRIPT), "--samples", "100", "--output", str(plot), OPENBLAS_NUM_THREADS="1")
    assert process.returncode == 0, process.stderr
    spread = dict(re.findall(r"deviation ([\w ]+): ([\d.]+)", process.stdout))
    assert float(spread["outside"]) > 1.5 * float(spread["on the training set"]) > 0
    assert float(spread["in its gap"]) > 1.1 * float(spread["on the training set"])
    assert plot.read_bytes().startswith(b"\x89PNG")
