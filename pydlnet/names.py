"""Names of inputs and outputs: brought into one form, compared, and put on datasets.

A name is text, an integer, a float, a bool or a time (datetime64[ns]): what every file format
holds. All names of a side are of one kind; any others, such as the tuples of a MultiIndex, become
text.
"""

import numbers
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._validation import freeze, hint, is_sequence

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "SIDES",
    "Coords",
    "agreed",
    "as_coordinates",
    "as_coords",
    "as_names",
    "in_common",
    "is_missing",
    "of_objects",
    "recorded_names",
    "shortened",
    "shown",
    "text_of",
    "with_names",
    "without_names",
]

SIDES = ("output", "input")

Names = NDArray[Any]
Coords = dict[str, Names]
"""Names by side, read-only; without a side that has none."""

_FEW, _LONGEST = 4, 40  # names that messages show, and their letters


def as_coords(given: Mapping[str, Any], shape: tuple[int, int]) -> dict[str, Names | None]:
    """Return checked names by side, None where they are to be taken away."""
    checked: dict[str, Names | None] = {}
    for side, values in given.items():
        if side not in SIDES:
            raise TypeError(f"expected the sides output and input, got {side!r}{hint(side, SIDES)}")
        checked[side] = None
        if values is None:
            continue
        names = as_names(_listed(values, side), side, side)
        size = shape[SIDES.index(side)]
        if names.size != size:
            raise ValueError(f"{side}: expected {size} names, got {names.size}")
        checked[side] = names
    return checked


def _listed(values: Any, side: str) -> Names:
    if not is_sequence(values) or isinstance(values, Set):  # which has no order
        raise TypeError(f"{side}: expected a sequence of names, got {type(values).__name__}")
    if hasattr(values, "dtype") and getattr(values, "ndim", 1) != 1:
        raise ValueError(f"{side}: expected one name each, got shape {tuple(values.shape)}")
    if hasattr(type(values), "__array__"):
        return np.asarray(values)
    return of_objects(list(values))


def of_objects(items: Sequence[Any]) -> Names:
    """Return a vector of objects, also where these are tuples."""
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def as_names(values: Names, side: str, argument: str) -> Names:
    """Return names of one of the kinds that files hold, read-only.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Of anything.
    side : str
        "input" or "output", for messages.
    argument : str
        Where they come from, likewise.

    Raises
    ------
    ValueError
        If a name is missing, or is there twice; if text holds what files cannot.
    """
    items = values.tolist()
    if (odd := next((item for item in items if not _is_hashable(item)), None)) is not None:
        raise TypeError(f"{argument}: expected text or numbers as names, got {odd!r}")
    is_time = values.dtype.kind in "mM"  # which NumPy makes integers of
    missing = np.flatnonzero(np.isnat(values) if is_time else [is_missing(x) for x in items])
    how = f"rename it, or pass {argument} without names"
    if missing.size:
        raise ValueError(
            f"{argument}: expected a name of every {side}, got a missing one at {missing[0]}; {how}"
        )
    names = values if _repeated(items) is not None else _of_one_kind(values)
    if (twice := _repeated(names.tolist())) is not None:
        raise ValueError(
            f"{argument}: expected different names of {side}s, got {twice!r} twice; {how}"
        )
    if names.dtype == object:
        _check_text("".join(names.tolist()), argument)
    return freeze(names)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:  # also of a tuple with a list in it
        return False
    return True


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, NaT, pandas.NA."""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"  # pandas.NA has no truth value


def _repeated(items: Sequence[Any]) -> Any:
    """Return the first item that was there before, None if there is none."""
    seen: set[tuple[bool, Any]] = set()
    for item in items:
        key = (isinstance(item, bool | np.bool_), item)  # True is not the number 1
        if key in seen:
            return item
        seen.add(key)
    return None


def _of_one_kind(values: Names) -> Names:
    kind = values.dtype.kind
    if kind == "O":
        return _of_items(values.tolist())
    if kind == "b":
        return values.copy()
    if kind in "iu" and (kind == "i" or values.max() < 2**63):
        return values.astype(np.int64)
    if kind == "f" and values.dtype.itemsize <= 8:
        return values.astype(np.float64)
    if kind == "M":
        times = values.astype("M8[ns]")
        if np.array_equal(times.astype(values.dtype), values):  # no year beyond its range
            return times
        return _as_text(np.datetime_as_string(values).tolist())
    if kind == "m":
        import pandas as pd

        return _as_text(list(pd.to_timedelta(values)))
    return _as_text(values.tolist())


def _of_items(items: list[Any]) -> Names:
    """Return Python's objects as an array of the one kind that they are of, else as text."""
    if all(isinstance(item, bool | np.bool_) for item in items):
        return np.array(items, dtype=np.bool_)
    if all(isinstance(item, np.datetime64) for item in items):
        return _of_one_kind(np.array(items))
    are_numbers = [isinstance(x, numbers.Real) and not isinstance(x, bool) for x in items]
    if all(are_numbers):
        if all(isinstance(item, numbers.Integral) for item in items):
            if all(-(2**63) <= item < 2**63 for item in items):
                return np.array([int(item) for item in items], dtype=np.int64)
        elif all(_is_float(item) for item in items):
            return np.array([float(item) for item in items])
    return _as_text(items)


def _is_float(number: Any) -> bool:
    try:
        return bool(float(number) == number)
    except OverflowError:
        return False


def _as_text(items: list[Any]) -> Names:
    texts = [", ".join(map(str, x)) if isinstance(x, tuple) else str(x) for x in items]
    if len(set(texts)) < len(texts):  # such as those of 1 and "1"
        texts = [repr(item) for item in items]
    return np.array(texts, dtype=object)


def _check_text(text: str, argument: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{argument}: expected names that UTF-8 can hold, got {text!a}") from None
    if "\0" in text:  # where text ends in NetCDF
        raise ValueError(f"{argument}: expected names without NUL, got one in {text!r}")


def agreed(sources: Iterable[tuple[str, Mapping[str, Names]]]) -> Coords:
    """Return the names of several sources, none of which need have any, but all of them the same.

    Parameters
    ----------
    sources : iterable of tuple (str, mapping)
        What messages call them, and their names by side.

    Raises
    ------
    ValueError
        If two differ.
    """
    found: dict[str, tuple[str, Names]] = {}
    for source, coords in sources:
        for side, names in coords.items():
            first, expected = found.setdefault(side, (source, names))
            if not is_same(names, expected):
                raise ValueError(
                    f"{source}: expected the names of {side}s that {first} has, {shown(expected)}, "
                    f"got {shown(names)}; bring them into one order, or take one of them away "
                    f"(problem.assign_coords({side}=None), or .to_numpy() of a table)"
                )
    return {side: names for side, (_, names) in found.items()}


def in_common(every: Iterable[Mapping[str, Names]]) -> Coords:
    """Return the names on which all agree that have any; those of a side that differ are left out.

    So they are the members' of an ensemble, whose inputs may differ from problem to problem.
    """
    found: dict[str, list[Names]] = {}
    for coords in every:
        for side, names in coords.items():
            found.setdefault(side, []).append(names)
    return {
        side: lists[0]
        for side, lists in found.items()
        if all(is_same(names, lists[0]) for names in lists)
    }


def is_same(names: Names, others: Names) -> bool:
    """Whether two lists of names are equal."""
    kinds = {names.dtype.kind, others.dtype.kind}
    return (len(kinds) == 1 or kinds <= {"i", "f"}) and bool(np.array_equal(names, others))


def shown(names: Names) -> str:
    """Return a few names for a message."""
    few = ", ".join(shortened(text_of(name), _LONGEST) for name in names[:_FEW])
    return f"[{few}{', ...' if names.size > _FEW else ''}]"


def text_of(name: Any) -> str:
    """Return a name as pictures and messages show it."""
    if isinstance(name, np.datetime64):
        text = str(np.datetime_as_string(name, unit="auto"))
        return text.replace("T", " ")
    if isinstance(name, float | np.floating):
        few = f"{name:g}"
        return few if float(few) == name else repr(float(name))  # or two would look like one
    return str(name)


def shortened(text: str, longest: int) -> str:
    """Return a name without its middle if it is longer than that, and on one line."""
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    return f"{line[: longest - longest // 3 - 1]}\u2026{line[-(longest // 3) :]}"


def with_names(data: "xr.Dataset", coords: Mapping[str, Names]) -> "xr.Dataset":
    """Return the data with names on every variable over a side that has them."""
    theirs = {side: names for side, names in coords.items() if side in data.dims}
    return data.assign_coords(as_coordinates(theirs)) if theirs else data


def as_coordinates(coords: Mapping[str, Names]) -> dict[str, tuple[str, Names, dict[str, str]]]:
    """Return names as xarray takes them for coordinates, with attributes."""
    about = {"units": "1", "reference": "definition"}
    return {
        side: (side, names, {"long_name": f"name of each {side}", **about})
        for side, names in coords.items()
    }


def without_names(data: "xr.Dataset") -> "xr.Dataset":
    """Return the data without them."""
    theirs = [side for side in SIDES if side in data.coords]
    return data.drop_vars(theirs) if theirs else data


def recorded_names(data: "xr.Dataset") -> Coords:
    """Return the names that a dataset has, which may come from a file."""
    return {
        side: as_names(data[side].values, side, "data") for side in SIDES if side in data.coords
    }
