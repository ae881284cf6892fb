"""Details of single kinds that no property of all kinds asks for."""

import inspect
import re
import subprocess
import sys
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.support import DTYPES, any_bits, normal, run_python

IMAGES = (5, 7, 11, 13)


@pytest.mark.parametrize("dtype", DTYPES[2:], ids=str)
def test_zoneout_copies_states_bit_by_bit(dtype: Any) -> None:
    """Payloads of NaNs too."""
    new, previous = any_bits(dtype, 5000), any_bits(dtype, 5000, 1)
    h, mask = bitdrop.zoneout(new, previous, 0.5, rng=0)
    assert h.tobytes() == np.where(np.asarray(mask), new, previous).tobytes()


@pytest.mark.parametrize(
    "noise_shape", [(None, None, 1, 1), (1, None, None, None), (5, 1, 1, 1), (1, 7, 1, 13), (1, 1, 1, 1)]
)
def test_records_hold_each_shared_bit_once(noise_shape: Any) -> None:
    drawn = tuple(n if entry is None else entry for n, entry in zip(IMAGES, noise_shape, strict=True))
    ones = np.ones(IMAGES)
    for _, mask in (
        bitdrop.dropout(ones, rng=0, noise_shape=noise_shape),
        bitdrop.zoneout(ones, ones, 0.5, rng=0, noise_shape=noise_shape),
    ):
        array: Any = np.asarray(mask)
        assert (mask.size, mask.nbytes, mask.noise_shape) == (np.prod(drawn), (mask.size + 7) // 8, drawn)
        assert array.strides == tuple(
            0 if n == 1 else stride for n, stride in zip(drawn, array.strides, strict=True)
        )
        own = array[tuple(slice(n) for n in drawn)]
        assert np.array_equal(mask.bits, np.packbits(own.ravel(), bitorder="little"))
        assert np.array_equal(own.ravel(), np.asarray(bitdrop.Mask(own.size, 0.5, key=mask.key)))


def test_noise_shape_of_all_lengths_is_none_at_all() -> None:
    mask = bitdrop.Mask(IMAGES, 0.5, key=(1, 2), noise_shape=IMAGES)
    assert mask == bitdrop.Mask(IMAGES, 0.5, key=(1, 2))
    assert mask.noise_shape is None


def test_real_and_imaginary_parts_share_a_mask_as_the_error_advises() -> None:
    layer, x = bitdrop.AlphaDropout(0.3, rng=0), normal(np.dtype("c16"), (4, 5))
    real = layer(x.real)
    assert layer.mask is not None
    dropped = real == layer.mask.dropped
    assert np.array_equal(layer.mask.apply(x.imag) == layer.mask.dropped, dropped)


@pytest.mark.parametrize("name", ["Dropout", "dropout"])
def test_help_shows_signatures_as_a_person_writes_them(name: str) -> None:
    shown = run_python("-c", f"import bitdrop; help(bitdrop.{name})").stdout
    found = re.search(rf"\b{name}\([^)]*p: '?Number'? = 0\.5.*", shown)
    assert found, shown[:2000]
    assert len(found[0]) <= 350, found[0]


@pytest.mark.parametrize("name", [name for name in bitdrop.__all__ if callable(getattr(bitdrop, name))])
def test_signatures_are_short(name: str) -> None:
    public = getattr(bitdrop, name)
    if not (isinstance(public, type) and issubclass(public, Exception)):
        assert len(str(inspect.signature(public))) <= 380


@pytest.mark.parametrize("arguments", [[], ["stream"]], ids=str)
@pytest.mark.parametrize("unbuffered", [[], ["-u"]], ids=str)
def test_closed_pipe_prints_no_traceback(arguments: list[str], unbuffered: list[str]) -> None:
    command = [sys.executable, *unbuffered, "-P", "-m", "bitdrop", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
