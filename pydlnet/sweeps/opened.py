"""A sweep as its folder has it: results, failures, what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from .._display import as_status, as_table, brief
from .._validation import _brief, hint
from ..storage import open_trajectory
from ..trajectory import Trajectory
from .canonical import canonical, plain, text
from .dataset import assemble
from .definition import Definition, read_definition
from .folder import Folder
from .grid import Axis
from .index import read_index
from .reading import read_values
from .sealed import Damaged

__all__ = ["Failure", "Sweep", "open_sweep"]

# Values of a parameter that a message names.
_SHOWN = 8


@dataclass(frozen=True)
class Failure:
    """A point whose function raised.

    Attributes
    ----------
    parameters : dict
        As the coordinates of the results show them.
    message : str
        Kind and text of the exception.
    traceback : str
        Where it came from.

    Examples
    --------
    >>> import warnings
    >>> import pydlnet as dln
    >>> def inverse(a):
    ...     return {"inverse": 1 / a}
    >>> with warnings.catch_warnings(action="ignore"):  # it says that a point failed
    ...     result = dln.sweep(inverse, {"a": [0, 2]}, store="inverses")
    >>> [failure] = result.failures
    >>> failure.parameters, failure.message
    ({'a': 0}, 'ZeroDivisionError: division by zero')
    """

    parameters: dict[str, Any]
    message: str
    traceback: str


class Sweep:
    """What a sweep has computed so far.

    Made by `sweep`, `sweep_ensemble` and `open_sweep`. It shows the folder as it was then; open it
    again to see what has come since.

    Attributes
    ----------
    path : Path
        Its folder.
    function : str
        Name of what is computed at each point.
    version : str
        The version that was given with it.
    seed : int
        What the generators of all points are derived from.

    Examples
    --------
    >>> import pydlnet as dln
    >>> def product(a, b):
    ...     return {"product": a * b}
    >>> result = dln.sweep(product, {"a": [1, 2], "b": [3, 4, 5]}, store="products")
    >>> result.counts
    {'done': 6, 'failed': 0, 'missing': 0}
    >>> result.data["product"].values
    array([[ 3,  4,  5],
           [ 6,  8, 10]])
    >>> result.point(a=2, b=5)["product"].item()
    10
    """

    def __init__(self, path: Path, definition: Definition) -> None:
        self.path = path
        self.function = definition.function
        self.version = definition.version
        self.seed = definition.seed
        self._grid = definition.grid
        self._folder = Folder(path)
        self._records = _records(self._folder, definition)

    @cached_property
    def data(self) -> xr.Dataset:
        """Results over the grid, with a dimension for each parameter, or `point` for a list.

        Arrays are read when they are used. Where points have different coordinates, as runs that
        stop at different steps do, there is the union of them, with NaN where a point has nothing.
        `status` says how each point ended: as its run did, or "done", "failed" or "missing". A
        result whose name is a parameter's is called `NAME_recorded`.
        """
        return assemble(self._folder, self._grid, self._records)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The points whose function raised, in the order of the grid."""
        failed = [(i, r) for i, r in sorted(self._records.items()) if r["status"] == "failed"]
        return tuple(
            Failure(self._grid.labels(i), r["error"]["message"], r["error"]["traceback"])
            for i, r in failed
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many points are done, failed and missing."""
        states = [record["status"] for record in self._records.values()]
        done, failed = states.count("done"), states.count("failed")
        return {"done": done, "failed": failed, "missing": len(self) - done - failed}

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self._grid)

    def points(self) -> list[dict[str, Any]]:
        """Return for each point its parameters, `status`, `seconds` and the `path` of its folder.

        Returns
        -------
        list of dict
            In the order of the grid; `seconds` is None where nothing was computed. `parameters`
            are as the coordinates show them.
        """
        return [
            {
                "parameters": self._grid.labels(i),
                "status": self._records.get(i, {}).get("status", "missing"),
                "seconds": self._records.get(i, {}).get("seconds"),
                "path": self._folder.place(key),
            }
            for i, key in enumerate(self._grid.keys)
        ]

    def point(self, **parameters: Any) -> xr.Dataset:
        """Return the results of one point alone, as its function returned them.

        Parameters
        ----------
        **parameters : object
            All parameters of the point, as the coordinates show them or as the grid had them.

        Returns
        -------
        xarray.Dataset
            Read from the disk.

        Raises
        ------
        ValueError
            If there is no such point, or it is not done.
        OSError
            If its file is damaged.
        """
        record = self._find(parameters)
        variables = record["variables"]
        values = read_values(self._folder, record, list(variables))
        arrays = {
            name: xr.Variable(about["dims"], values[name], about.get("attrs", {}))
            for name, about in variables.items()
        }
        names = [name for name, about in variables.items() if about.get("coordinate")]
        return xr.Dataset(arrays, attrs=record["attrs"]).set_coords(names)

    def trajectory(self, **parameters: Any) -> Trajectory:
        """Return the trajectory of one point, ready to go on.

        Parameters
        ----------
        **parameters : object
            All parameters of the point, as the coordinates show them or as the grid had them.

        Returns
        -------
        Trajectory
            As `pydlnet.open` gives it.

        Raises
        ------
        ValueError
            If there is no such point, it is not done, or `keep_trajectories` was not set.
        OSError
            If its file is damaged.
        """
        record = self._find(parameters)
        if "trajectory" not in record["files"]:
            raise ValueError(
                "keep_trajectories: expected a sweep whose trajectories were kept, got one "
                "without; use `point` for what was recorded"
            )
        try:
            self._folder.check(record["key"], record)
        except Damaged as error:
            raise OSError(str(error)) from None
        file = record["files"]["trajectory"]["name"]
        return open_trajectory(self._folder.place(record["key"]) / file)

    def _find(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        known = [name for axis in self._grid.axes for name in axis.labels]
        for name in parameters:
            if name not in known:
                nearest = hint(name, known) or f"; known are {', '.join(known)}"
                raise ValueError(f"{name}: unknown parameter{nearest}")
        shown = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
        found = self._matching(parameters)
        if len(found) != 1:
            count = "several" if found else "none"
            raise ValueError(f"expected the parameters of one point, got {count} with {shown}")
        record = self._records.get(found[0])
        if record is None or record["status"] != "done":
            state = "missing" if record is None else record["error"]["message"]
            raise ValueError(f"expected a point that is done, got {shown}: {state}")
        return record

    def _matching(self, parameters: Mapping[str, Any]) -> list[int]:
        """Return the points that have these parameters."""
        points = [0]
        for axis in self._grid.axes:
            given = {name: parameters[name] for name in axis.labels if name in parameters}
            places = set(range(len(axis.texts)))
            for name, value in given.items():
                places &= _places(axis, name, value)
            points = [point * len(axis.texts) + place for point in points for place in places]
        return points

    def __repr__(self) -> str:
        """Show the grid and how far it is."""
        counts = ", ".join(f"{n} {state}" for state, n in self.counts.items() if n)
        sizes = " x ".join(
            f"{name} {n}" for name, n in zip(self._grid.dims, self._grid.shape, strict=True)
        )
        return f"<Sweep: {len(self)} points ({counts}), {sizes}, {self.function}, in {self.path}>"

    def _repr_html_(self) -> str:
        """Show the same as a table, with the values of each parameter and the first failure."""
        failed = self.failures[:1]
        facts = {
            "points": as_status(self.counts),
            **{
                name: f"{len(values)}: {brief(list(values))}"
                for axis in self._grid.axes
                for name, values in axis.labels.items()
            },
            "computes": self.function,
            "version": self.version or None,
            "seed": str(self.seed),
            "folder": str(self.path),
            "first failure": failed[0].message if failed else None,
        }
        return as_table("Sweep", facts.items())


def _places(axis: Axis, name: str, value: Any) -> set[int]:
    """Return where on an axis a parameter has a value; by its label, or by what it is.

    Raises
    ------
    ValueError
        If that is nowhere.
    """
    value = plain(value)
    labels = axis.labels[name]
    places = {place for place, label in enumerate(labels) if _is_label(value, label)}
    if not places:
        try:
            wanted = text(canonical(value, name))
        except (TypeError, ValueError):
            wanted = ""
        places = {place for place, texts in enumerate(axis.texts) if texts.get(name) == wanted}
    if not places:
        known = dict.fromkeys(repr(label) for label in labels)
        shown = [*list(known)[:_SHOWN], *(["..."] if len(known) > _SHOWN else [])]
        raise ValueError(f"{name}: expected one of {', '.join(shown)}, got {value!r}")
    return places


def _is_label(value: Any, label: Any) -> bool:
    is_simple = isinstance(value, str | int | float)
    return is_simple and isinstance(label, bool) == isinstance(value, bool) and label == value


def _records(folder: Folder, definition: Definition) -> dict[int, dict[str, Any]]:
    """Return the records of all points that have one, by point."""
    there = folder.keys()
    indexed = read_index(folder.index) if there else {}
    records = {}
    for i, key in enumerate(definition.grid.keys):
        if key in there:
            record = indexed.get(key) or _read_record(folder, key)
            if record is not None:
                records[i] = record
    return records


def _read_record(folder: Folder, key: str) -> dict[str, Any] | None:
    try:
        return folder.read_record(key)
    except Damaged:  # launching the sweep again computes it anew
        return None


def open_sweep(path: str | PathLike[str]) -> Sweep:
    """Open the folder of a sweep, also while it runs.

    Parameters
    ----------
    path : path-like
        What was given to `sweep` or `sweep_ensemble` as `store`.

    Returns
    -------
    Sweep
        Of the grid that was launched last.

    Raises
    ------
    FileNotFoundError
        If there is nothing at that path.
    ValueError
        If it is not the folder of a sweep, is one of another layout, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> import pydlnet as dln
    >>> def square(x):
    ...     return {"square": x**2}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = dln.sweep(square, {"x": [1, 2, 3]}, store=f"{folder}/squares", progress=False)
    ...     dln.open_sweep(f"{folder}/squares").data["square"].values.tolist()
    [1, 4, 9]
    """
    if not isinstance(path, str | PathLike):
        raise TypeError(f"path: expected a path, got {_brief(path)}")
    folder = Folder(Path(path).absolute())
    if not folder.path.exists():
        raise FileNotFoundError(f"path: expected the folder of a sweep, found nothing at {path}")
    definition = read_definition(folder, "path")
    if definition is None:
        raise ValueError(f"path: expected the folder of a sweep, got something else at {path}")
    return Sweep(folder.path, definition)
