"""What a function of a sweep returned, as named arrays; and as bytes of one file."""

import io
import zipfile
from collections.abc import Container, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import _brief
from ..ensembles import EnsembleTrajectory
from ..trajectory import Trajectory
from .canonical import check_text
from .sealed import sha256

__all__ = ["Result", "Variable", "as_result", "is_scalar", "of_run", "pack", "unpack"]

# Of a run, but no part of its result: another one for every point, or said elsewhere.
_LEFT_OUT = ("wall_seconds", "status")

# Coordinates of so few values are kept with their description.
_FEW = 16

_ENDS = {
    "status": "why the run ended",
    "last_step": "the step at which the run ended",
}


@dataclass(frozen=True)
class Variable:
    """A named array.

    Attributes
    ----------
    dims : tuple of str
        Its dimensions.
    values : ndarray
        Numbers or strings.
    attrs : dict
        Ready for JSON.
    is_coordinate : bool
        Whether it is one.
    """

    dims: tuple[str, ...]
    values: NDArray[Any]
    attrs: dict[str, Any] = field(default_factory=dict)
    is_coordinate: bool = False

    def describe(self, name: str) -> dict[str, Any]:
        """Return everything but the values of a large array, ready for JSON."""
        description: dict[str, Any] = {
            "dims": list(self.dims),
            "shape": list(self.values.shape),
            "dtype": self.values.dtype.str,
        }
        if self.attrs:
            description["attrs"] = self.attrs
        if self.is_coordinate:
            description["coordinate"] = True
        if self.dims == (name,):
            description["index"] = _describe_index(self.values)
        return description


@dataclass(frozen=True)
class Result:
    """What came of one point.

    Attributes
    ----------
    variables : dict of str to Variable
        By name.
    attrs : dict
        Ready for JSON.
    trajectory : Trajectory or None
        If the function returned one.
    """

    variables: dict[str, Variable]
    attrs: dict[str, Any]
    trajectory: Trajectory | None = None


def _describe_index(values: NDArray[Any]) -> dict[str, Any]:
    """Say which values a coordinate has; of long ones only all but the last, by digest, and it.

    Steps at which a run is recorded follow a schedule, and end anywhere: 10^5 of them have few
    beginnings, and each is read only once.
    """
    if values.size <= _FEW and values.dtype.kind in "iufbU":
        return {"values": values.tolist()}
    if values.dtype.kind in "iuf":
        return {"head": sha256(values[:-1].tobytes()), "last": values[-1].item()}
    return {"head": sha256(values.tobytes())}


def as_result(value: Any) -> Result:
    """Return what a function returned as named arrays.

    Raises
    ------
    TypeError, ValueError
        If it is no Trajectory, Dataset or mapping of names to numbers or arrays.
    """
    if isinstance(value, Trajectory):
        return _of_trajectory(value)
    if isinstance(value, EnsembleTrajectory):
        return _of_dataset(value.data)
    if isinstance(value, xr.Dataset):
        return _of_dataset(value)
    if isinstance(value, Mapping):
        return _of_mapping(value)
    raise TypeError(
        "function: expected it to return a Trajectory, an xarray.Dataset or a mapping of names to "
        f"numbers, got {_brief(value)}"
    )


def _of_trajectory(trajectory: Trajectory) -> Result:
    return of_run(trajectory.data, trajectory.status, trajectory.step, trajectory)


def of_run(
    data: xr.Dataset, status: str, last_step: int, trajectory: Trajectory | None = None
) -> Result:
    """Return the records of a run, how it ended, and what its scalars were then."""
    result = _of_dataset(data)
    ends: dict[str, Any] = {"status": status, "last_step": last_step}
    variables = dict(result.variables)
    for name, variable in result.variables.items():
        if variable.dims == ("step",) and not variable.is_coordinate:
            attrs = {**variable.attrs, "long_name": f"{variable.attrs['long_name']}, at the end"}
            variables[f"final_{name}"] = Variable((), np.asarray(variable.values[-1]), attrs)
    for name, end in ends.items():
        attrs = {"long_name": _ENDS[name], "units": "1", "reference": "definition"}
        variables[name] = Variable((), np.asarray(end), attrs)
    return Result(variables, result.attrs, trajectory)


def _of_dataset(data: xr.Dataset) -> Result:
    variables = {
        _name(name): Variable(
            tuple(map(str, variable.dims)),
            _array(name, variable.values),
            _plain_mapping(variable.attrs),
            name in data.coords,
        )
        for name, variable in data.variables.items()
    }
    attrs = {name: value for name, value in data.attrs.items() if name not in _LEFT_OUT}
    return Result(variables, _plain_mapping(attrs))


def _of_mapping(items: Mapping[Any, Any]) -> Result:
    variables = {}
    for name, item in items.items():
        values = _array(name, item)
        dims = (_free(f"{name}_{i}", items) for i in range(values.ndim))
        variables[_name(name)] = Variable(tuple(dims), values)
    return Result(variables, {})


def _free(name: str, taken: Container[str]) -> str:
    """Return a name that is not taken."""
    return _free(f"{name}_", taken) if name in taken else name


def _name(name: Hashable) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"function: expected strings as names of results, got {_brief(name)}")
    check_text(name, "function: names of results")
    if "\0" in name:  # where names in an archive end
        raise ValueError(f"function: expected names of results without NUL, got {name!r}")
    return name


def _array(name: Hashable, value: Any) -> NDArray[Any]:
    if np.ma.is_masked(value):
        raise ValueError(f"function: result {_name(name)!r}: expected no masked entries")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"function: result {_name(name)!r}: {error}") from None
    if array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat):
        array = array.astype(str)
    if array.dtype.kind not in "biufcUMm":
        raise TypeError(
            f"function: expected numbers or strings as result {_name(name)!r}, got {_brief(value)}"
        )
    if array.dtype.kind == "U":
        check_text("".join(array.ravel().tolist()), f"function: result {_name(name)!r}")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _plain_mapping(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in attrs.items()}


def _plain(value: Any) -> Any:
    """Return an attribute as JSON has it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def is_scalar(variable: Variable) -> bool:
    """Whether JSON holds the value, all bits of it."""
    dtype = variable.values.dtype
    is_long = dtype.kind == "f" and dtype.itemsize > 8
    return variable.values.ndim == 0 and dtype.kind in "biufU" and not is_long


def pack(variables: Mapping[str, Variable]) -> bytes:
    """Return arrays as the bytes of an .npz file, the same for the same arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, variable in variables.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, variable.values, allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes, names: list[str]) -> dict[str, NDArray[Any]]:
    """Return some of the arrays that were packed."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[f"{name}.npy"] for name in names}
