"""Data of an experiment: .npy, .npz, .csv, the gas sensor archive, ratings, pictures."""

import csv
import io
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pydlnet import datasets

from .config import PUBLISHED, nearest
from .whole_files import WholeFile

__all__ = ["Source", "read"]

_GAS = "gas_sensor"

_SINGLE = ""
"""Name of an array whose file gives it none."""


class Source:
    """The arrays of an experiment by name.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Arrays, or columns of a table.
    place : str
        The file they come from, for messages.
    whole : str, optional
        A file, or a name among `PUBLISHED`, of which problems are made as a whole.
    is_table : bool, default False
        Whether the arrays are columns, whose names go with the numbers.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        place: str,
        whole: str | None = None,
        *,
        is_table: bool = False,
    ) -> None:
        self._arrays = dict(arrays)
        self._place = place
        self._is_table = is_table
        self.whole = WholeFile(whole)

    def default(self, argument: str) -> Any:
        """Return the array named like the argument, or the one of a file that names none.

        Parameters
        ----------
        argument : str
            Name of an argument that the experiment file does not give.

        Returns
        -------
        ndarray or pandas.Series
            Its array.

        Raises
        ------
        ValueError
            If there is none.
        """
        return self._single(_SINGLE if _SINGLE in self._arrays else argument)

    def pick(self, value: Any) -> Any:
        """Return what a key of the experiment file means: an array by name, else the value.

        Parameters
        ----------
        value : object
            A name, a list of names of columns, which are stacked, ``"*"`` for all columns, or
            numbers.

        Returns
        -------
        object
            The array, of a table as a Series or DataFrame with the names of its columns; or `value`
            if there is no name in it.

        Raises
        ------
        ValueError
            If no array has that name, or if columns differ in length.
        """
        if value == "*":
            return self._stacked(list(self._arrays))
        if isinstance(value, str):
            return self._single(value)
        if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
            return self._stacked(value)
        return value

    def _single(self, name: str) -> Any:
        array = self._named(name)
        return pd.Series(array, name=name) if self._is_table else array

    def _stacked(self, names: list[str]) -> Any:
        arrays = [self._named(name) for name in names]
        if not self._is_table:
            return np.stack(arrays, axis=1)
        table = pd.concat([pd.Series(array) for array in arrays], axis=1)
        return table.set_axis(names, axis="columns")

    def pick_each(self, value: Any) -> Any:
        """Return what a key that is a tuple of arrays means: each of its parts picked.

        Parameters
        ----------
        value : object
            A list of names or of numbers, else as in `pick`.

        Returns
        -------
        object
            A tuple for a list.

        Raises
        ------
        ValueError
            If no array has such a name.
        """
        return tuple(map(self.pick, value)) if isinstance(value, list) else self.pick(value)

    def without(self, names: Sequence[str]) -> "Source":
        """Return the source without some of its arrays."""
        rest = {name: array for name, array in self._arrays.items() if name not in names}
        return Source(rest, self._place, is_table=self._is_table)

    def _named(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            known = [known for known in self._arrays if known != _SINGLE]
            hint = nearest(name, known) if known else ""
            raise ValueError(f"no array {name!r} in {self._place}{hint}")
        return self._arrays[name]


def read(
    data: str | Mapping[str, str] | None, gas: str | int | None = None, whole: bool = False
) -> Source:
    """Read the data files of an experiment.

    Parameters
    ----------
    data : str, mapping of str to str, or None
        Path of a .npy file (one array), of a .npz file (arrays by name), of a .csv file (columns
        by name; one matrix if the first line is numbers), of the gas sensor archive or its folder
        (``inputs`` and ``outputs``), or paths of files with one array each by name; or
        "gas_sensor", which is downloaded.
    gas : str or int, optional
        Gas to read from the gas sensor archive; default ethanol.
    whole : bool, default False
        Whether the problem is made of a whole file, see `WholeFile`, and of no arrays.

    Returns
    -------
    Source
        The arrays by name.

    Raises
    ------
    ValueError
        If a file is missing, broken or of an unknown kind.
    """
    if gas is not None and (whole or not (isinstance(data, str) and _is_gas_archive(data))):
        raise ValueError("gas: only for data from the gas sensor archive (a .zip file or a folder)")
    if whole:
        if not isinstance(data, str):
            raise ValueError("data: expected the path of a file, as problem.kind asks for")
        return Source({}, data, data)
    if data is None:
        return Source({}, "the file, which has no `data` either")
    if isinstance(data, str):
        arrays = _read_file(data, gas)
        is_table = Path(data).suffix.lower() == ".csv" and _SINGLE not in arrays
        return Source(arrays, data, is_table=is_table)
    return Source({name: _only(path) for name, path in data.items()}, "`data`")


def _only(path: str) -> NDArray[Any]:
    arrays = _read_file(path, None)
    if len(arrays) != 1:
        raise ValueError(f"data: expected one array in {path}, got {', '.join(arrays)}")
    return next(iter(arrays.values()))


def _read_file(data: str, gas: str | int | None) -> dict[str, NDArray[Any]]:
    path = Path(data)
    if data in PUBLISHED:
        if data != _GAS:
            raise ValueError(f'data: {data} goes with [problem] kind = "ratings"')
    elif not path.exists():
        hint = "; the gas sensor archive is at https://doi.org/10.24432/C5MK6M"
        raise ValueError(f"data: no file {data!r}{hint if path.suffix == '.zip' else ''}")
    if _is_gas_archive(data):
        chosen = "ethanol" if gas is None else gas
        inputs, outputs = datasets.gas_sensor(None if data == _GAS else path, chosen)
        return {"inputs": inputs, "outputs": outputs}
    readers = {".npy": _read_numpy, ".npz": _read_numpy, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(
            f"data: expected a file ending in .npy, .npz, .csv or .zip, or a folder, got {path}"
        )
    return readers[path.suffix.lower()](path)


def _is_gas_archive(data: str) -> bool:
    return data == _GAS or Path(data).suffix.lower() == ".zip" or Path(data).is_dir()


def _read_numpy(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {_SINGLE: loaded}
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:  # NumPy lets out whatever a wrong byte in a header comes to
        raise ValueError(f"data: cannot read {path}: {error}") from None


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    lines = list(_lines(_text(path), path))
    rows = [row for _, row in lines]
    if rows and all(_is_number(field) for field in rows[0]):
        return {_SINGLE: _matrix(rows, path)}
    if len(rows) < 2:
        raise ValueError(f"data: {path} holds no numbers")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) < len(header) or not all(header):
        raise ValueError(f"data: {path}: expected different names in the first line, got {header}")
    places = [f"{path}, line {number}" for number, _ in lines[1:]]
    columns = zip(*rows[1:], strict=True)
    return {name: _column(values, places) for name, values in zip(header, columns, strict=True)}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"data: {path}, line {number}: expected UTF-8: {error.reason}") from None


def _lines(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of the lines that are not empty, all of one length."""
    reader = csv.reader(io.StringIO(text, newline=""))
    width = None
    try:
        for row in reader:
            if not row:
                continue
            width = len(row) if width is None else width
            if len(row) != width:
                raise ValueError(
                    f"data: {path}, line {reader.line_num}: expected {width} fields, got {len(row)}"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"data: {path}, line {reader.line_num}: {error}") from None


def _column(values: Sequence[str], places: Sequence[str]) -> NDArray[Any]:
    """Return integers, else floats, else strings."""
    for kind in (int, float):
        try:
            numbers = [kind(value) for value in values]
        except ValueError:
            continue
        _check_integers(numbers, places)
        return np.array(numbers, dtype=np.int64 if kind is int else np.float64)
    return np.array(values)


def _check_integers(numbers: Sequence[float], places: Sequence[str]) -> None:
    for number, place in zip(numbers, places, strict=True):
        if isinstance(number, int) and not -(2**63) <= number < 2**63:
            shown = reprlib.repr(number)
            raise ValueError(f"data: {place}: expected an integer of at most 64 bits, got {shown}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _matrix(rows: Sequence[Sequence[str]], path: Path) -> NDArray[np.float64]:
    try:
        return np.array([[float(field) for field in row] for row in rows], dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"data: {path}: {error}") from None
