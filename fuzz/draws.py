"""Values out of the bytes of an input: mostly as asked for, and odd ones."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")

ODD_NUMBERS = (
    0, 1, -1, 2, 3, 7, 2**31, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30,
    0.0, -0.0, 0.5, 1.5, 1e-320, 1e-30, 1e-8, 1e8, 1e155, 1e308, -1e308,
    math.nan, math.inf, -math.inf,
)  # fmt: skip
ODD_VALUES = (None, True, False, "", "loss", "é\0", b"x", (), [], {}, {"a": 1}, 1j, object(), len)
ODD_DTYPES = ("f8", "f4", "f2", "g", "i8", "i4", "u8", "b1", "c16", "O", "S3", "U2", ">f8", "M8[s]")


class Draws:
    """Values that the bytes of an input stand for; zeros when there are no bytes left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def rest(self) -> bytes:
        rest, self._at = self._data[self._at :], len(self._data)
        return rest

    def below(self, count: int) -> int:
        return (self.byte() << 8 | self.byte()) % count if count > 256 else self.byte() % count

    def one_of(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def is_odd(self, one_in: int = 8) -> bool:
        return self.byte() % one_in == 1

    def number(self) -> Any:
        return self.one_of(ODD_NUMBERS) if self.is_odd(3) else self.below(9)

    def value(self) -> Any:
        """Return anything at all."""
        kinds = (self.number, lambda: self.one_of(ODD_VALUES), self.array)
        return self.one_of(kinds)()

    def matrix(self, rows: int, cols: int, dtype: Any = np.float64) -> np.ndarray:
        """Return what is asked for, with an entry that is odd now and then."""
        draws = np.random.default_rng(self.byte())
        matrix = draws.standard_normal((rows, cols)).astype(dtype)
        if matrix.size and self.is_odd(6):
            with np.errstate(all="ignore"):
                matrix.flat[self.below(matrix.size)] = float(self.one_of(ODD_NUMBERS[14:]))
        return matrix

    def array(self) -> np.ndarray:
        """Return an array of any shape, dtype and layout."""
        shape = tuple(self.below(5) for _ in range(self.below(5)))
        size = math.prod(shape)
        values = np.array([float(self.number()) for _ in range(min(size, 8))] or [0.0])
        with np.errstate(all="ignore"):
            array = np.resize(values, shape).astype(self.one_of(ODD_DTYPES))
        return self._laid_out(array)

    def _laid_out(self, array: np.ndarray) -> np.ndarray:
        kind = self.below(6)
        if kind == 1:
            return np.asfortranarray(array)
        if kind == 2 and array.ndim:
            return np.repeat(array, 2, axis=0)[::2]
        if kind == 3 and array.ndim:
            return array[::-1]
        if kind == 4:
            array.setflags(write=False)
        if kind == 5 and array.ndim and array.shape[0]:
            return np.broadcast_to(array[:1], array.shape)
        return array
