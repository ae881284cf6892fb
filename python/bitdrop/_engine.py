"""The door to the engine: the only file that calls `bitdrop._core` to drop, apply or fill.

Every front-end passes memory and values through here. Arguments have been validated.
"""

from typing import NamedTuple

from bitdrop import _core
from bitdrop._affine import Affine
from bitdrop._bit_layout import BitLayout
from bitdrop._plan import Plan
from bitdrop._typing import Memory

DTYPES = {"float16": 0, "bfloat16": 1, "float32": 2, "float64": 3}
"""Codes of the supported dtypes in `bitdrop._core`, by name."""


class Operands(NamedTuple):
    """Memory of a call.

    Attributes
    ----------
    dtype : int
        Code of the elements' dtype: see `DTYPES`.
    arrays : tuple of arrays, or of (address, shape, strides in elements)
        The output, then the inputs. Their shapes are the same.
    """

    dtype: int
    arrays: tuple[Memory, ...]


class Threads(NamedTuple):
    """Threads of a call.

    Attributes
    ----------
    limit : int
        The maximum number. 0: the setting of the process.
    team : int
        Address of a function such as GOMP_parallel, which runs the work on threads of its own. 0: bitdrop's
        own workers.
    """

    limit: int = 0
    team: int = 0


PROCESS = Threads()


def drop(
    operands: Operands,
    affine: Affine,
    plan: Plan,
    layout: BitLayout | None = None,
    bits: Memory | None = None,
    threads: Threads = PROCESS,
) -> None:
    """Generate bits and apply them: kept elements become scale * x + shift, others `dropped`.

    Parameters
    ----------
    operands : Operands
        Output and input.
    affine : Affine
        What becomes of an element.
    plan : Plan
        Random bits.
    layout : BitLayout, optional
        Bits of the elements. None: element i in C order has bit i.
    bits : Memory, optional
        Memory to store the packed bits in. None: they are not stored.
    threads : Threads
        Threads to use.
    """
    _core.drop(operands, affine, plan, layout, bits, threads)


def apply(
    operands: Operands,
    affine: Affine,
    bits: Memory,
    layout: BitLayout | None = None,
    threads: Threads = PROCESS,
) -> None:
    """Apply stored bits: kept elements become scale * x + shift, others `dropped`.

    Parameters
    ----------
    operands, affine, layout, threads
        As in `drop`.
    bits : Memory
        The packed bits.
    """
    _core.apply(operands, affine, layout, bits, threads)


def fill(bits: Memory, plan: Plan, layout: BitLayout, threads: Threads = PROCESS) -> None:
    """Generate the bits of a layout's box into memory for them."""
    _core.fill(bits, plan, layout, threads)
