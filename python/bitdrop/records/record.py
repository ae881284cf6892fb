"""Base of the values that a pass leaves: masks and noise."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bitdrop import _validate
from bitdrop._arrays import as_bool_array
from bitdrop._core import Draws, Operation, Pass, Rule
from bitdrop._shard import Shard, units_of
from bitdrop._typing import Array, Key, NoiseShape, Number, Shape


class Record:
    """A pass as a value: what it did, and to which elements.

    A record is immutable and hashable, and equal to every record of the same pass, in any process on any
    machine.
    """

    __slots__ = ("_pass",)

    _pass: Pass
    _format: ClassVar[str] = "mask"

    @classmethod
    def _of(cls, done: Pass) -> Self:
        """Return the record of a pass."""
        record = object.__new__(cls)
        record._pass = done
        return record

    @property
    def shape(self) -> Shape:
        """Shape of the arrays that the record applies to."""
        return self._pass.shape

    @property
    def p(self) -> float:
        """Probability that a unit is dropped, or the rate of the noise."""
        return self._drawn("p").p

    @property
    def key(self) -> Key:
        """The two words of the key."""
        return self._drawn("key").key

    @property
    def stream(self) -> int:
        """Number of the call under the key."""
        return self._drawn("stream").stream

    def _drawn(self, name: str) -> Pass:
        done = self._pass
        if done.draws is Draws.GIVEN:
            raise AttributeError(f"A mask of an array was not drawn at random, so it has no {name}.")
        return done

    @property
    def noise_shape(self) -> Shape | None:
        """Shape of the draws, 1 along axes that share them. None: every element has its own."""
        return self._pass.noise_shape

    @property
    def shard(self) -> Shard | None:
        """Place of the arrays in a larger one, if they are a part."""
        place = self._pass.shard
        return None if place is None else Shard(*place)

    @property
    def size(self) -> int:
        """Number of draws. Without shared axes, the number of elements."""
        return self._pass.size

    @property
    def nbytes(self) -> int:
        """Bytes of bits held at the moment: 0 if they are generated when needed."""
        return self._pass.nbytes

    def part(self, start: int | Shape, shape: int | Shape) -> Self | Any:
        """Return the record of a part of the elements.

        Parameters
        ----------
        start : int or tuple of ints
            Index of the part's first element.
        shape : int or tuple of ints
            Shape of the part.

        Returns
        -------
        Record
            A record that does to an array of that shape what this one does to the same part of a whole array.

        Raises
        ------
        TypeError
            If start or shape is not a tuple of ints.
        ValueError
            If the part does not lie within the record.

        Examples
        --------
        The same units for a last batch that is smaller:

        >>> import numpy as np, bitdrop
        >>> mask = bitdrop.Mask((64, 6), 0.5, key=(1, 2), noise_shape=(1, None))
        >>> mask.part((0, 0), (2, 6)).apply(np.ones((2, 6)))
        array([[0., 2., 2., 0., 0., 2.],
               [0., 2., 2., 0., 0., 2.]])
        """
        first, lengths = _validate.as_part(start, shape, self.shape, self._format)
        return self if lengths == self.shape else self._of_part(self._pass.part(first, lengths))

    def _of_part(self, done: Pass) -> Record:
        return self._of(done)

    def __eq__(self, other: object) -> bool:
        """Compare the values."""
        return self._pass == other._pass if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        """Hash the values."""
        return hash(self._pass)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the pass and the number of its format. Bits that can be generated again are left out."""
        return _unpickled, (type(self), _validate.FORMATS[self._format], self._pass)

    def __repr__(self) -> str:
        """Return the expression that makes the record."""
        done = self._pass
        more = {"key": done.key, "stream": done.stream} | self._options()
        shown = [repr(done.shape), *map(repr, self._leading()), *(f"{k}={v!r}" for k, v in more.items())]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _leading(self) -> tuple[Any, ...]:
        """Return the arguments after the shape."""
        return (self._pass.p,)

    def _options(self) -> dict[str, Any]:
        """Return the arguments after the stream number."""
        return self._places()

    def _places(self) -> dict[str, Any]:
        places = {"noise_shape": self.noise_shape, "shard": self.shard}
        return {name: value for name, value in places.items() if value is not None}


class BitRecord(Record):
    """Base of the masks: records of passes that draw bits."""

    __slots__ = ()

    @property
    def bits(self) -> NDArray[np.uint8]:
        """Packed bits, 1 where kept: read-only, 1-D, ``(size + 7) // 8`` bytes.

        Element ``i`` in C order is bit ``i % 8`` of byte ``i // 8``, as in
        ``numpy.packbits(kept, bitorder="little")``. Bits after the last element are 0. Bits that axes share
        are stored once. A part of a larger mask is packed anew.
        """
        return self._pass.bits

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return a bool array of the mask's shape, True where kept: read-only unless `copy` is True."""
        if copy is False:
            raise ValueError("A mask keeps packed bits or none, so a bool array of it is always a copy.")
        kept = np.unpackbits(self.bits, count=self.size, bitorder="little").view(np.bool_)
        kept = np.broadcast_to(kept.reshape(self._drawn_shape()), self.shape)
        if copy or (dtype is not None and np.dtype(dtype) != np.bool_):
            kept = kept.astype(np.bool_ if dtype is None else dtype)
        kept.flags.writeable = copy is True
        return kept

    def _drawn_shape(self) -> Shape:
        """Return the mask's shape, with 1 along axes that share their bits."""
        done = self._pass
        if done.noise_shape is None or done.operation.activates:
            return done.shape
        whole = done.shape if done.shard is None else done.shard[0]
        lengths = zip(done.shape, done.noise_shape, whole, strict=True)
        return tuple(length if drawn == all_of_it else 1 for length, drawn, all_of_it in lengths)

    def __repr__(self) -> str:
        """Return the expression that makes the mask. NumPy abridges large arrays."""
        if self._pass.draws is not Draws.GIVEN:
            return super().__repr__()
        kept = np.asarray(self)
        shown = repr(kept) if kept.size else f"array([], dtype=bool).reshape({kept.shape})"
        options = "".join(f", {name}={value!r}" for name, value in self._given_options().items())
        return f"{type(self).__name__}.from_array({shown}{options})"

    def _given_options(self) -> dict[str, Any]:
        """Return the arguments of `from_array` after the first."""
        return {}


def given_pass(kept: ArrayLike, shape: Shape | int | None, operation: Operation) -> Pass:
    """Return the pass over the elements that an array says, broadcast to a shape."""
    array = as_bool_array(kept, "kept")
    whole = array.shape if shape is None else _validate.as_shape(shape)
    if not _validate.broadcasts(array.shape, whole):
        raise ValueError(f"kept must broadcast to shape, {whole}, but its shape is {array.shape}.")
    bits = np.packbits(np.broadcast_to(array, whole).ravel(), bitorder="little")
    return Pass.given(bits, whole, operation)


def pass_of_arguments(
    rule_of: Any,
    shape: int | Shape,
    p: Number,
    place: tuple[Key, int],
    noise_shape: NoiseShape | None,
    shard: Shard | None,
) -> Pass:
    """Return the pass of a record's arguments, which have not been validated.

    `rule_of` returns the rule for a validated p and the units of the noise shape.
    """
    lengths = _validate.as_shape(shape)
    rule: Rule = rule_of(p, units_of(noise_shape))
    key, stream = place
    return rule.pass_with_key(lengths, _validate.as_key(key), _validate.as_word(stream, "stream"), shard)


def _unpickled(cls: type[Record], number: int, done: Pass) -> Record:
    _validate.check_format(number, cls._format, f"The pickled {cls._format}")
    return cls._of(done)
