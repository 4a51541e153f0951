"""The points of a sweep: all combinations of values, or an explicit list, and their names."""

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._validation import _brief
from .canonical import canonical, check_text, label, plain, text

__all__ = ["LAYOUT", "Axis", "Grid", "as_grid", "as_labels", "grid_from_dict"]

# Of folders and records; it enters the name of every point.
LAYOUT = 1

# Half of a SHA-256: two of 10^9 points share it with a probability below 10^-20.
_KEY_DIGITS = 32

# More points than fit into memory with their names.
_MOST_POINTS = 10**7

# Variables of the results that say how the points ended.
_RESERVED = ("status",)


@dataclass(frozen=True)
class Axis:
    """The values of one parameter, or one explicit list of points.

    Attributes
    ----------
    name : str
        The dimension of the results.
    texts : tuple of dict of str to str
        For each place, the canonical JSON of each parameter there.
    labels : dict of str to list
        Coordinates along this dimension, by parameter.
    values : tuple of dict, or None
        For each place, what the function gets; None in a sweep that was opened.
    """

    name: str
    texts: tuple[dict[str, str], ...]
    labels: dict[str, list[Any]]
    values: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True)
class Grid:
    """All points, in the order of the results.

    Attributes
    ----------
    axes : tuple of Axis
        The last one varies fastest.
    identity : str
        Canonical JSON of what all points share: function, version, bound parameters.
    """

    axes: tuple[Axis, ...]
    identity: str

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions."""
        return tuple(axis.name for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of places along each of them."""
        return tuple(len(axis.texts) for axis in self.axes)

    def __len__(self) -> int:
        """Return the number of points."""
        return math.prod(self.shape)

    @cached_property
    def keys(self) -> list[str]:
        """Name of each point's directory: a hash of layout, function, version and parameters."""
        beginning = hashlib.sha256(f"{LAYOUT}\n{self.identity}\n".encode())
        axes = [[_named(place) for place in axis.texts] for axis in self.axes]
        return [_key(beginning, places) for places in itertools.product(*axes)]

    def parameters(self, point: int) -> dict[str, Any]:
        """Return what the function gets at a point."""
        merged: dict[str, Any] = {}
        for axis, place in zip(self.axes, self.places(point), strict=True):
            assert axis.values is not None
            merged.update(axis.values[place])
        return merged

    def labels(self, point: int) -> dict[str, Any]:
        """Return what the coordinates show for a point."""
        return {
            name: labels[place]
            for axis, place in zip(self.axes, self.places(point), strict=True)
            for name, labels in axis.labels.items()
            if labels[place] is not None
        }

    def places(self, point: int) -> tuple[int, ...]:
        """Return the place of a point along each dimension."""
        places = []
        for size in reversed(self.shape):
            point, place = divmod(point, size)
            places.append(place)
        return tuple(reversed(places))

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the values, ready for JSON."""
        axes = [
            {"name": axis.name, "texts": list(axis.texts), "labels": axis.labels}
            for axis in self.axes
        ]
        return {"axes": axes, "identity": self.identity}


def _named(place: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the parameters of a place with what they are written as in a key."""
    return [(name, f"{text(name)}:{value}") for name, value in place.items()]


def _key(beginning: "hashlib._Hash", places: Sequence[list[tuple[str, str]]]) -> str:
    parameters = ",".join(written for _, written in sorted(itertools.chain(*places)))
    digest = beginning.copy()
    digest.update(f"{{{parameters}}}".encode())
    return digest.hexdigest()[:_KEY_DIGITS]


def grid_from_dict(description: Mapping[str, Any]) -> Grid:
    """Return the grid that `Grid.to_dict` described, without its values."""
    axes = [
        Axis(axis["name"], tuple(axis["texts"]), axis["labels"]) for axis in description["axes"]
    ]
    return Grid(tuple(axes), description["identity"])


def as_grid(grid: Any, identity: str) -> Grid:
    """Return the checked points.

    Parameters
    ----------
    grid : mapping of str to sequence, or sequence of mappings
        Values by parameter, also as a mapping from labels to values; or points.
    identity : str
        Canonical JSON of what all points share.

    Returns
    -------
    Grid
        With one axis a parameter, or the axis `point`.

    Raises
    ------
    ValueError, TypeError
        If it is empty, names a value twice, or holds what has no canonical form.
    """
    if isinstance(grid, Mapping):
        axes = [_axis(name, values) for name, values in grid.items()]
        if not axes:
            raise ValueError("grid: expected at least one parameter, got an empty mapping")
        _check_size(math.prod(len(axis.texts) for axis in axes), "grid", "points")
        return Grid(tuple(axes), identity)
    if isinstance(grid, str | bytes | np.ndarray) or not isinstance(grid, Iterable):
        raise TypeError(
            "grid: expected a mapping of names to values, or a list of mappings, got "
            f"{_brief(grid)}"
        )
    return Grid((_points(_listed(grid, "grid", "points")),), identity)


def _axis(name: Any, values: Any) -> Axis:
    _check_name(name, "grid")
    where = f"grid[{name!r}]"
    labelled = isinstance(values, Mapping)
    parts = list(values.values()) if labelled else _sequence(values, where)
    if not parts:
        raise ValueError(f"{where}: expected at least one value, got none")
    texts = [text(canonical(value, f"{where}[{i}]")) for i, value in enumerate(parts)]
    _check_different(texts, parts, where)
    if labelled:
        labels = as_labels(values, where)
    else:
        labels = _distinct([label(value) for value in parts])
    return Axis(
        name,
        tuple({name: value} for value in texts),
        {name: labels},
        tuple({name: plain(value)} for value in parts),
    )


def _points(points: list[Any]) -> Axis:
    if not points:
        raise ValueError("grid: expected at least one point, got an empty list")
    texts = []
    for i, point in enumerate(points):
        if not isinstance(point, Mapping):
            raise TypeError(
                f"grid[{i}]: expected a mapping of names to values, got {_brief(point)}"
            )
        for name in point:
            _check_name(name, f"grid[{i}]")
        texts.append(
            {name: text(canonical(value, f"grid[{i}][{name!r}]")) for name, value in point.items()}
        )
    _check_different([text(point) for point in texts], points, "grid")
    names = dict.fromkeys(name for point in points for name in point)
    labels = {
        name: [label(point[name]) if name in point else None for point in points] for name in names
    }
    values = tuple({name: plain(value) for name, value in point.items()} for point in points)
    return Axis("point", tuple(texts), labels, values)


def _sequence(values: Any, where: str) -> list[Any]:
    if isinstance(values, str | bytes | set | frozenset) or not isinstance(values, Iterable):
        raise TypeError(f"{where}: expected a sequence of values, got {_brief(values)}")
    if getattr(values, "ndim", 1) == 0:
        raise TypeError(f"{where}: expected a sequence of values, got a single one, {values}")
    # Labelled arrays and series as well, whose items are not all plain numbers.
    return _listed(np.asarray(values) if hasattr(values, "to_numpy") else values, where, "values")


def _listed(values: Iterable[Any], where: str, kind: str) -> list[Any]:
    if isinstance(values, Sized):
        _check_size(len(values), where, kind)
    return list(values)


def _check_size(size: int, where: str, kind: str) -> None:
    if size > _MOST_POINTS:
        raise ValueError(f"{where}: expected at most {_MOST_POINTS:,} {kind}, got {size:,}")


def _check_name(name: Any, where: str) -> None:
    if not isinstance(name, str) or not name:
        raise TypeError(f"{where}: expected names of parameters, got {_brief(name)}")
    check_text(name, where)
    if name in _RESERVED or name == "point":
        raise ValueError(f"{where}: the name {name!r} is taken by the results; choose another one")


def _check_different(texts: Sequence[str], values: Sequence[Any], where: str) -> None:
    seen: dict[str, int] = {}
    for i, value in enumerate(texts):
        first = seen.setdefault(value, i)
        if first != i:
            raise ValueError(
                f"{where}: expected different values, got the same in places {first} and {i}: "
                f"{label(values[i])}"
            )


def as_labels(keys: Iterable[Any], where: str) -> list[Any]:
    """Return the keys of a mapping of values, which have to differ when they are written down."""
    labels = [_label_given(key, where) for key in keys]
    _check_different([str(label) for label in labels], labels, f"{where}: labels")
    return labels


def _label_given(key: Any, where: str) -> Any:
    key = plain(key)
    if not isinstance(key, str | int | float):
        raise TypeError(f"{where}: expected strings or numbers as labels, got {_brief(key)}")
    if isinstance(key, str):
        check_text(key, where)
    return key


def _distinct(labels: list[Any]) -> list[Any]:
    """Return labels that all differ: numbered if two are alike."""
    shown = [str(value) for value in labels]
    if len(set(shown)) == len(shown):
        return labels
    return [f"{i}: {value}" for i, value in enumerate(shown)]
