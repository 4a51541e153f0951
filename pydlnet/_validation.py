"""Checks of public arguments, shared by all modules.

Every function takes the value and the public name of the argument, returns the value in the
form the rest of the package relies on, and raises ValueError or TypeError naming the argument,
what was expected and what came.
"""

import difflib
import itertools
import math
import numbers
import operator
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arrays import as_numpy, is_pandas

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]

INT64_MAX = 2**63 - 1


def is_sequence(value: Any) -> bool:
    """Whether a value is several: text and mappings are one, and so is an array of one number."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return False
    return getattr(value, "ndim", 1) > 0


def as_count(value: Any, name: str, minimum: int = 0, maximum: int = INT64_MAX) -> int:
    """Return an integer in [minimum, maximum]; bools and floats are no integers."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected an integer, got the bool {value}")
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {_brief(value)}") from None
    if count < minimum:
        raise ValueError(f"{name}: expected an integer >= {minimum}, got {count}")
    if count > maximum:
        raise ValueError(f"{name}: expected an integer <= {maximum}, got {count}")
    return count


def as_flag(value: Any, name: str, expected: str = "a bool") -> bool:
    """Return a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected {expected}, got {_brief(value)}")
    return bool(value)


def as_path(value: Any, name: str) -> Path:
    """Return a path of a str or a path-like object."""
    try:
        return Path(value)
    except TypeError:
        raise TypeError(
            f"{name}: expected a str or a path-like object, got {type(value).__name__}"
        ) from None


def as_threads(value: Any) -> int:
    """Return a number of threads, at most as many as this process may run on processors."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(as_count(value, "threads", 1), available or 1)


def as_real(
    value: Any,
    name: str,
    *,
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    positive: bool = False,
    finite: bool = True,
) -> float:
    """Return a float with minimum <= value, above < value < below; positive means above 0."""
    number = _scalar(value, name)
    above = 0.0 if positive else above
    bounds = [(">=", minimum, operator.ge), (">", above, operator.gt), ("<", below, operator.lt)]
    checks = [(sign, bound, holds) for sign, bound, holds in bounds if bound is not None]
    inside = all(holds(number, bound) for _, bound, holds in checks)
    if not inside or (finite and not math.isfinite(number)):
        what = " and".join(f" {sign} {bound:g}" for sign, bound, _ in checks)
        kind = "finite number" if finite else "number"
        raise ValueError(f"{name}: expected a {kind}{what}, got {number}")
    return number


def _scalar(value: Any, name: str) -> float:
    if getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic):
        value = as_numpy(value, name)[()]
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a real number, got {_brief(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number in the range of float64") from None


def as_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return one of a few strings."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected one of {list(choices)}, got {_brief(value)}")
    if value not in choices:
        near = hint(value, choices)
        raise ValueError(f"{name}: expected one of {list(choices)}, got {value!r}{near}")
    return value


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64 as a NumPy dtype."""
    try:
        result: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype: expected float32 or float64, got {_brief(dtype)}") from None
    if dtype is None or result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype: expected float32 or float64, got {_brief(dtype)}")
    return result


def as_array(
    value: Any,
    name: str,
    ndim: int | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    finite: bool = True,
) -> FloatArray:
    """Return a fresh C-contiguous float64 copy, not empty and, unless told otherwise, finite."""
    array = _numeric(value, name)
    _check_dimensions(array, name, ndim, shape)
    with np.errstate(over="ignore"):
        result = np.array(array, dtype=np.float64, order="C")
    if finite:
        check_finite(result, name)
    return result


def as_matrix(
    value: Any, name: str, *, shape: tuple[int, int] | None = None, finite: bool = True
) -> FloatArray:
    """Return a fresh C-contiguous float64 copy of a matrix."""
    return as_array(value, name, 2, shape=shape, finite=finite)


def as_indices(value: Any, name: str, bound: int) -> IndexArray:
    """Return a fresh int64 vector of indices in [0, bound)."""
    array = _numeric(value, name)
    _check_dimensions(array, name, 1, None)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got dtype {array.dtype}")
    outside = np.flatnonzero((array < 0) | (array >= bound))
    if outside.size:
        first = outside[0]
        raise ValueError(
            f"{name}[{first}]: expected an integer in [0, {bound}), got {array[first]}"
        )
    return np.array(array, dtype=np.int64)


def check_increasing(array: NDArray[Any], name: str) -> None:
    """Raise ValueError unless each of the numbers is above the one before."""
    falls = np.flatnonzero(np.diff(array) <= 0)
    if falls.size:
        i = int(falls[0])
        raise ValueError(
            f"{name}: expected strictly increasing {name}, got {array[i]} followed by "
            f"{array[i + 1]}"
        )


def as_shape(value: Any, name: str = "shape") -> tuple[int, int]:
    """Return (d_N, d_0), both at least 1, of a matrix that can be addressed."""
    sizes = _as_counts(value, name)
    if len(sizes) != 2:
        raise ValueError(f"{name}: expected two integers (d_N, d_0), got {sizes}")
    _check_addressable(sizes, name)
    return sizes[0], sizes[1]


def as_widths(value: Any, name: str = "widths") -> tuple[int, ...]:
    """Return (d_0, ..., d_N), at least two integers >= 1."""
    widths = _as_counts(value, name)
    if len(widths) < 2:
        raise ValueError(f"{name}: expected at least two widths (d_0, ..., d_N), got {widths}")
    for pair in itertools.pairwise(widths):
        _check_addressable(pair, name)
    _check_addressable((widths[-1], widths[0]), name)
    return widths


def as_weights(weights: Any, name: str = "weights") -> list[NDArray[Any]]:
    """Return the layers as C-contiguous arrays, all float64 or all float32, that form a chain.

    Layers that already are in this form are not copied: the result shares their memory.
    """
    is_one = isinstance(weights, str | bytes | Mapping | np.ndarray) or is_pandas(weights)
    if is_one or not isinstance(weights, Iterable):
        raise TypeError(f"{name}: expected a list of matrices, got {_brief(weights)}")
    layers = [_as_layer(layer, f"{name}[{i}]") for i, layer in enumerate(weights)]
    if not layers:
        raise ValueError(f"{name}: expected at least one layer, got none")
    for i, layer in enumerate(layers[1:], start=1):
        before = layers[i - 1]
        if layer.dtype != before.dtype:
            raise TypeError(
                f"{name}[{i}]: expected {before.dtype} like {name}[{i - 1}], got {layer.dtype}"
            )
        if layer.shape[1] != before.shape[0]:
            raise ValueError(
                f"{name}[{i}]: expected shape ({layer.shape[0]}, {before.shape[0]}) "
                f"to follow {name}[{i - 1}], got {layer.shape}"
            )
    _check_addressable((layers[-1].shape[0], layers[0].shape[1]), name)
    return layers


def _as_layer(value: Any, name: str) -> NDArray[Any]:
    array = _numeric(value, name)
    _check_dimensions(array, name, 2, None)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        raise TypeError(f"{name}: expected float32 or float64, got {array.dtype}")
    dtype = array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.dtype(np.float64)
    layer = np.ascontiguousarray(array, dtype=dtype)
    check_finite(layer, name)
    return layer


def as_rng(rng: Any) -> np.random.Generator:
    """Return a random generator from a non-negative int, a Generator (itself) or None."""
    if rng is None:
        return np.random.default_rng()
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(_as_seed(rng))


def seed_from(rng: Any) -> int:
    """Return a 63-bit seed: an int itself if it fits, otherwise one drawn from the generator."""
    if rng is not None and not isinstance(rng, np.random.Generator):
        seed = _as_seed(rng)
        if seed < 2**63:
            return seed
    return int(as_rng(rng).integers(2**63, dtype=np.uint64))


def _as_seed(rng: Any) -> int:
    try:
        return as_count(rng, "rng")
    except TypeError:
        raise TypeError(
            f"rng: expected an int, a numpy.random.Generator or None, got {_brief(rng)}"
        ) from None


def check_finite(array: NDArray[Any], name: str) -> None:
    """Raise ValueError naming the first entry that is NaN or infinite."""
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(
            f"{name}: expected finite numbers in the range of {array.dtype}, "
            f"got {array[index]} at {list(index)}"
        )


def function_name(function: Any) -> str:
    """Return "module.qualname" of a callable, by which saved results refer to it."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def hint(name: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known name in any case, "" if none is near."""
    by_lowered = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(str(name).lower(), by_lowered, n=1)
    return f"; did you mean {by_lowered[near[0]]!r}?" if near else ""


def widths_of(layers: Sequence[NDArray[Any]]) -> tuple[int, ...]:
    """Return (d_0, ..., d_N) of checked layers."""
    return (layers[0].shape[1], *(layer.shape[0] for layer in layers))


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array that belongs to the package read-only and return it."""
    array.flags.writeable = False
    return array


def _check_dimensions(
    array: NDArray[Any], name: str, ndim: int | None, shape: tuple[int, ...] | None
) -> None:
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if ndim is not None and array.ndim != ndim:
        kind = {1: "a vector", 2: "a matrix"}.get(ndim, f"{ndim} dimensions")
        raise ValueError(f"{name}: expected {kind}, got an array of shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one number, got shape {array.shape}")


def _as_counts(value: Any, name: str) -> tuple[int, ...]:
    if not is_sequence(value):
        raise TypeError(f"{name}: expected a sequence of integers, got {_brief(value)}")
    return tuple(as_count(size, f"{name}[{i}]", minimum=1) for i, size in enumerate(value))


def _check_addressable(sizes: Sequence[int], name: str) -> None:
    if math.prod(sizes) * 8 > sys.maxsize:
        raise ValueError(f"{name}: a matrix of shape {tuple(sizes)} cannot be addressed")


def _numeric(value: Any, name: str) -> NDArray[Any]:
    """Return a dense array of real numbers, not copied if it is one already."""
    array = as_numpy(value, name)
    if array.dtype.kind not in "iuf" and is_pandas(value) and array.ndim == 2:
        array = _from_columns(value, name)
    elif array.dtype == object and is_pandas(value):
        array = _from_nullable(value, array)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected real numbers, got {_brief(value, array)}")
    return array


def _from_columns(table: Any, name: str) -> NDArray[Any]:
    """Convert the columns of a table, of which NumPy makes objects; a missing number is NaN."""
    for column, dtype in zip(table.columns, table.dtypes, strict=True):
        kind = getattr(dtype, "kind", "O")
        if kind not in "iuf":
            how = "use .astype(float)" if kind == "b" else "encode it, or leave it out"
            raise TypeError(
                f"{name}: expected columns of real numbers, got {column!r} of dtype {dtype}; {how}"
            )
    return _from_nullable(table, np.empty(0, object))


def _from_nullable(table: Any, array: NDArray[Any]) -> NDArray[Any]:
    """Convert pandas' nullable numbers, which NumPy sees as objects; a missing one is NaN."""
    kinds = {getattr(dtype, "kind", "O") for dtype in np.asarray(table.dtypes, object).ravel()}
    if not kinds <= set("iuf"):
        return array
    result: NDArray[Any] = table.to_numpy(dtype=np.float64, na_value=np.nan)
    return result


def _brief(value: Any, array: NDArray[Any] | None = None) -> str:
    """Describe a value of the wrong type, and the array it becomes, in a few words."""
    kind = type(value).__name__
    shaped = array if array is not None and array.ndim else value
    if not isinstance(value, type) and hasattr(shaped, "dtype") and hasattr(shaped, "shape"):
        return f"{kind} of shape {tuple(shaped.shape)} and dtype {shaped.dtype}"
    text = repr(value)
    return f"{kind} {text}" if len(text) <= 60 and "\n" not in text else kind
