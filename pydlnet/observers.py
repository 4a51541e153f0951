"""Quantities that are functions of the layers, called at recorded steps: the user's and our own."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ._arrays import as_numpy
from ._validation import function_name
from .problems import Problem
from .quantities import QUANTITIES, Variable, is_reserved
from .recorded_curvature import recorded_curvature
from .recording import Record

Layers = list[NDArray[Any]]


class Observers:
    """Functions `f(weights) -> float or ndarray`, and the arrays their values go to.

    The first call decides shape and dtype; it is made before the loop, so that a mistake shows
    early, and its value is used for the first record.

    Parameters
    ----------
    record : Record
        Whose functions are called.
    problem : Problem
        Of whose loss the curvature is recorded.
    sizes : mapping of str to int
        Dimensions that the dataset has already.
    """

    def __init__(self, record: Record, problem: Problem, sizes: Mapping[str, int]) -> None:
        own = recorded_curvature(record.names, problem)
        self._functions: dict[str, Callable[[Layers], ArrayLike]] = {**own, **record.callables}
        self._sizes = dict(sizes)
        self._first: dict[str, NDArray[Any]] = {}
        self._first_step = -1
        self.variables: dict[str, Variable] = {}

    def __bool__(self) -> bool:
        return bool(self._functions)

    def begin(self, step: int, weights: Layers) -> None:
        """Call every function for the first time."""
        self._first_step = step
        for name, function in self._functions.items():
            value = _call(name, function, step, weights)
            self._first[name] = value
            self.variables[name] = (
                QUANTITIES[name][0]
                if name in QUANTITIES
                else Variable(
                    name,
                    ("step", *self._dims(name, function, value)),
                    long_name=name.replace("_", " "),
                    reference=function_name(function),
                )
            )

    def _dims(
        self, name: str, function: Callable[[Layers], ArrayLike], value: NDArray[Any]
    ) -> tuple[str, ...]:
        default = tuple(f"{name}_{axis}" for axis in range(value.ndim))
        dims = getattr(function, "dims", default)
        if not isinstance(dims, tuple | list) or not all(isinstance(dim, str) for dim in dims):
            raise TypeError(f"quantity {name!r}: expected dims to be names, got {dims!r}")
        if len(dims) != value.ndim or len({"step", *dims}) != len(dims) + 1:
            raise ValueError(
                f"quantity {name!r}: expected {value.ndim} different dims other than 'step' for a "
                f"value of shape {value.shape}, got {tuple(dims)}"
            )
        for dim, size in zip(dims, value.shape, strict=True):
            if dim in self._functions or (is_reserved(dim) and dim not in self._sizes):
                raise ValueError(
                    f"quantity {name!r}: expected dims other than variables of the dataset, "
                    f"got {dim!r}"
                )
            if self._sizes.setdefault(dim, size) != size:
                raise ValueError(
                    f"quantity {name!r}: expected size {self._sizes[dim]} along the dimension "
                    f"{dim!r}, got {size}"
                )
        return tuple(dims)

    @property
    def bytes_a_record(self) -> int:
        """Memory that the values of one step take."""
        return sum(value.nbytes for value in self._first.values())

    def check_against(self, history: xr.Dataset) -> None:
        """Raise ValueError if an earlier part of the trajectory has another shape of a quantity."""
        for name, variable in self.variables.items():
            before = history.variables.get(name)
            sizes = dict(zip(variable.dims[1:], self._first[name].shape, strict=True))
            if before is not None and dict(before.sizes) != {**sizes, "step": before.sizes["step"]}:
                raise ValueError(
                    f"quantity {name!r}: expected dimensions and sizes as recorded before, "
                    f"{dict(before.isel(step=0).sizes)}, got {sizes}"
                )
            for dim, size in sizes.items():
                if history.sizes.get(dim, size) != size:
                    raise ValueError(
                        f"quantity {name!r}: expected size {history.sizes[dim]} along the "
                        f"dimension {dim!r} as recorded before, got {size}"
                    )

    def allocate(self, n_records: int) -> dict[str, NDArray[Any]]:
        """Return an array with one row a record for each function."""
        return {
            name: np.empty((n_records, *value.shape), value.dtype)
            for name, value in self._first.items()
        }

    def fill(self, arrays: dict[str, NDArray[Any]], row: int, step: int, weights: Layers) -> None:
        """Write the values at this step."""
        for name, function in self._functions.items():
            first = self._first[name]
            if step == self._first_step:
                arrays[name][row] = first
                continue
            value = _call(name, function, step, weights)
            if value.shape != first.shape or value.dtype != first.dtype:
                raise ValueError(
                    f"quantity {name!r} at step {step}: expected {first.dtype} of shape "
                    f"{first.shape} as at its first call, got {value.dtype} of shape {value.shape}"
                )
            arrays[name][row] = value

    def fill_missing(self, arrays: dict[str, NDArray[Any]], row: int) -> None:
        """Write that there is no value: the run diverged and nothing is computed from it."""
        for name in self._functions:
            if arrays[name].dtype.kind != "f":
                arrays[name] = arrays[name].astype(np.float64)
            arrays[name][row] = np.nan


def _call(
    name: str, function: Callable[[Layers], ArrayLike], step: int, weights: Layers
) -> NDArray[Any]:
    try:
        result = function(weights)
        # Python's own numbers become float64: an int at one step may be a float at the next.
        is_plain = type(result) in (int, float)
        value = np.array(result, np.float64) if is_plain else np.array(as_numpy(result, "result"))
    except Exception as error:
        error.add_note(f"raised by the quantity {name!r} at step {step}")
        raise
    if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
        raise TypeError(
            f"quantity {name!r} at step {step}: expected real numbers, got "
            f"{type(result).__name__} of dtype {value.dtype}"
        )
    return value
