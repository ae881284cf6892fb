"""``python -m bitdrop stream``: the randomness itself on standard output, for batteries of tests."""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from bitdrop import _core, _validate
from bitdrop._typing import Key

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_INDICES = 2**64
_CHUNK_BYTES = 2**19


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of bits to write.

    Attributes
    ----------
    run : int
        Length of each run of adjacent elements.
    stride : int
        Elements from the start of a run to the start of the next. 0: the same elements of the next stream.
    meaning : str
        A phrase for the help text.
    """

    run: int
    stride: int
    meaning: str

    def chunks(self, key: Key, stream: int, p: float, start: int) -> Iterator[NDArray[np.uint8]]:
        """Yield packed bits until elements or streams end, each time in the same memory.

        Parameters
        ----------
        key, stream, p
            As in `bitdrop.Mask`.
        start : int
            Index of the first element.
        """
        at_once = _CHUNK_BYTES * 8 // self.run
        buffer = np.empty(at_once * self.run // 8, np.uint8)
        first, stride = (start, self.stride) if self.stride else (stream, 1)
        for number in range(0, (_INDICES - first) // stride, at_once):
            runs = min(at_once, (_INDICES - first) // stride - number)
            bits = buffer[: runs * self.run // 8]
            place = first + number * stride
            if self.stride:
                _core.fill(bits, key, stream, p, place, (runs, self.run), (stride, 1))
            else:
                for row, one in enumerate(bits.reshape(runs, -1)):
                    _core.fill(one, key, place + row, p, start, (self.run,), (1,))
            yield bits


@dataclass(frozen=True, slots=True)
class NoiseChoice:
    """A choice of what the noise of Gaussian dropout is made of.

    Attributes
    ----------
    dtype : str
        "<u4" for the random words, "<f4" for the normal numbers.
    meaning : str
        A phrase for the help text.
    """

    dtype: str
    meaning: str
    run: ClassVar[int] = 1024

    def chunks(self, key: Key, stream: int, p: float, start: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the bytes of numbers until elements end, each time in the same memory. `p` is not used."""
        native = np.empty(_CHUNK_BYTES // 4, np.dtype(self.dtype).newbyteorder("="))
        for first in range(start, _INDICES, native.size):
            numbers = native[: min(native.size, _INDICES - first)]
            _core.fill_noise(numbers, key, stream, first // self.run)
            yield numbers.astype(self.dtype, copy=False).view(np.uint8)


CHOICES: dict[str, Choice | NoiseChoice] = {
    "bits": Choice(8, 8, "all bits in order"),
    "rows": Choice(1024, 4096, "one row of every block: 1024 bits of every 4096"),
    "lane": Choice(64, 1024, "one lane: 64 bits of every 1024"),
    "streams": Choice(1024, 0, "one row of each successive stream: its 1024 bits from --start on"),
    "words": NoiseChoice("<u4", "the noise's random words: 32 bits for each element"),
    "normals": NoiseChoice("<f4", "the noise's normal numbers: a float32 for each element"),
}


def add_command(commands: "Commands") -> None:
    """Add the subcommand to a parser of arguments."""
    parser = commands.add_parser(
        "stream",
        help="write raw mask bits, or the numbers of the noise, to standard output",
        description="Write raw mask bits to standard output, 1 for a kept element, packed as Mask.bits, for "
        "batteries of random number tests. These expect fair bits: p = 0.5. Or write what the noise "
        "of Gaussian dropout is made of, in little-endian order.",
    )
    meanings = "; ".join(f"{name}: {choice.meaning}" for name, choice in CHOICES.items())
    parser.add_argument(
        "choice", nargs="?", choices=CHOICES, default="bits", help=f"{meanings} (default: bits)"
    )
    parser.add_argument(
        "-p", type=_checked(float, _validate.as_probability), default=0.5, help="of mask bits, default: 0.5"
    )
    word = _checked(_integer, lambda number: _validate.as_word(number, "number"))
    key = parser.add_argument("--key", type=word, nargs=2, default=(1, 2), help="default: 1 2")
    key.metavar = ("K0", "K1")
    parser.add_argument(
        "--stream", type=word, default=0, metavar="N", help="stream number, or the first (default: 0)"
    )
    parser.add_argument(
        "--start",
        type=word,
        default=0,
        metavar="INDEX",
        help="first element: a multiple of 8, of 64 for lane, of 1024 for the others, default: 0",
    )
    parser.add_argument("--bytes", type=word, metavar="N", help="how many bytes to write, default: no end")
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))


def _integer(text: str) -> int:
    return int(text, 0)


def _checked(convert: Callable[[str], Any], check: Callable[[Any], Any]) -> Callable[[str], Any]:
    def value(text: str) -> Any:
        try:
            number = convert(text)
        except ValueError:
            kind = "an integer" if convert is _integer else "a number"
            raise argparse.ArgumentTypeError(f"must be {kind}, but got {text!r}.") from None
        try:
            return check(number)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return value


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    choice = CHOICES[arguments.choice]
    if arguments.start % choice.run:
        parser.error(f"--start must be a multiple of {choice.run}, but got {arguments.start}.")
    if sys.stdout.isatty():
        parser.error("standard output is a terminal: send the bytes to a file or to another program.")
    chunks = choice.chunks(tuple(arguments.key), arguments.stream, arguments.p, arguments.start)
    try:
        _write(chunks, arguments.bytes)
    except BrokenPipeError:
        raise  # the caller knows what to do
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"The bytes cannot be written: {error.strerror}.")


def _write(chunks: Iterator[NDArray[np.uint8]], nbytes: int | None) -> None:
    output = sys.stdout.buffer
    left = nbytes
    while left != 0:
        bits = next(chunks, None)
        if bits is None:
            break
        part = bits if left is None else bits[:left]
        _write_all(output, part.data)
        left = None if left is None else left - part.size
    output.flush()


def _write_all(output: BinaryIO, data: memoryview) -> None:
    # Under PYTHONUNBUFFERED this is the file itself, which may take only a part of the data.
    while data:
        data = data[output.write(data) :]
