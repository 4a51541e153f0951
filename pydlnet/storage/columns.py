"""The arrays of a store: one Zarr array a variable, cut into chunks of whole records.

Rows are written once: a chunk that is full never changes, and the rows of one that is not full stay
what they are when more are added. Every chunk carries a CRC-32C, and every column a running SHA-256
over its rows, so that a chunk that was exchanged or lost is noticed as well.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from .files import flush, write_complete

__all__ = ["Column", "create_column", "open_column", "write_coordinate", "write_group"]

ZSTD_LEVEL = 1  # records are mostly noise: higher levels take longer and gain nothing


@dataclass
class Column:
    """One variable of a store on disk.

    Parameters
    ----------
    array : zarr.Array, shape (n, ...)
        The records first; n is at least the number of rows that are there.
    path : Path
        Its folder.
    """

    array: "zarr.Array[Any]"
    path: Path

    @property
    def name(self) -> str:
        """Name of the variable."""
        return self.path.name

    @property
    def chunk_length(self) -> int:
        """Rows a chunk."""
        return int(self.array.chunks[0])

    def read(self, first: int, end: int) -> NDArray[Any]:
        """Return the rows from `first` on, before `end`.

        Raises
        ------
        ValueError
            If a chunk of theirs is missing or damaged.
        """
        with self._naming_damage(first, end):
            return np.asarray(self.array[first:end])

    def read_at(self, key: tuple[Any, ...], first: int, end: int) -> NDArray[Any]:
        """Return what an orthogonal key gives, whose rows are in [first, end)."""
        with self._naming_damage(first, end):
            return np.asarray(self.array.oindex[key])

    def write(self, first: int, rows: NDArray[Any]) -> None:
        """Write rows, from the beginning of a chunk on, and bring them to the disk."""
        end = first + len(rows)
        if self.array.shape[0] != end:
            self.array.resize((end, *self.array.shape[1:]))
        if rows.size == 0:
            return
        self.array[first:end] = rows
        folders = {self.path}
        for path in self._chunks(first, end):
            flush(path)
            folders.update((path.parent, path.parent.parent))
        for folder in folders:
            flush(folder)

    def digest(self, n_rows: int) -> bytes:
        """Return the running digest after so many rows, from what is on the disk."""
        digest = b""
        for first in range(0, n_rows, self.chunk_length):
            rows = self.read(first, min(first + self.chunk_length, n_rows))
            digest = extended(digest, rows)
        return digest

    @contextmanager
    def _naming_damage(self, first: int, end: int) -> Iterator[None]:
        for path in self._chunks(first, end) if self.array.size else ():
            # Zarr would take it for one that was never written, and give zeros.
            if not path.exists():
                raise ValueError(f"{path} is missing: the store is damaged")
        try:
            yield
        except Exception as error:
            raise ValueError(
                f"the chunks of {self.path} with the records {first} to {end - 1} are damaged: "
                f"{error}"
            ) from error

    def _chunks(self, first: int, end: int) -> list[Path]:
        """Return the files with the rows from `first` on, before `end`."""
        rest = (0,) * (self.array.ndim - 1)
        numbers = range(first // self.chunk_length, -(-end // self.chunk_length))
        encode = self.array.metadata.encode_chunk_key
        return [self.path / encode((number, *rest)) for number in numbers]


def extended(digest: bytes, rows: NDArray[Any]) -> bytes:
    """Return the running digest after the rows of one more chunk, if there are any."""
    if len(rows) == 0:
        return digest
    return hashlib.sha256(digest + np.ascontiguousarray(rows).tobytes()).digest()


def create_column(
    path: Path,
    variable: NDArray[Any],
    dims: tuple[str, ...],
    attributes: dict[str, Any],
    chunk_length: int,
) -> Column:
    """Create a column for rows like those of `variable`, and return it.

    Parameters
    ----------
    path : Path
        Folder of the column.
    variable : ndarray, shape (0, ...)
        With dtype and shape of a row.
    dims : tuple of str
        "step" first.
    attributes : dict
        Of the variable.
    chunk_length : int
        Rows a chunk, for ever.
    """
    shape = variable.shape[1:]
    array = zarr.create_array(
        path,
        shape=(0, *shape),
        chunks=(chunk_length, *(max(1, size) for size in shape)),
        dtype=variable.dtype,
        compressors=(ZstdCodec(level=ZSTD_LEVEL), Crc32cCodec()),
        fill_value=np.nan if variable.dtype.kind == "f" else None,
        dimension_names=dims,
        attributes=attributes,
        # A chunk that is not there has been lost.
        config={"write_empty_chunks": True},
    )
    return Column(array, path)


def write_coordinate(path: Path, coordinate: xr.DataArray) -> None:
    """Write the coordinate of a dimension for those who open the store with xarray alone."""
    values = coordinate.values
    array = zarr.create_array(
        path,
        shape=values.shape,
        dtype=str if values.dtype == object else values.dtype,
        dimension_names=list(map(str, coordinate.dims)),
        attributes=coordinate.attrs,
        overwrite=True,
    )
    array[:] = values
    for part in (*path.rglob("*"), path):
        flush(part)


def open_column(path: Path, *, writable: bool = False) -> Column:
    """Return the column in a folder; raise ValueError if it is damaged."""
    try:
        array = zarr.open_array(
            path, mode="r+" if writable else "r", config={"write_empty_chunks": True}
        )
    except Exception as error:
        raise ValueError(f"{path / 'zarr.json'} is damaged: {error}") from error
    return Column(array, path)


def write_group(path: Path, names: Iterable[str], attributes: Mapping[str, Any]) -> None:
    """Let those who open the store with xarray alone see its arrays, and how long they are.

    As `zarr.consolidate_metadata` does, which warns of our other files, and of itself.
    """
    metadata = {name: json.loads((path / name / "zarr.json").read_bytes()) for name in names}
    group = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": attributes,
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": metadata,
        },
    }
    write_complete(path / "zarr.json", json.dumps(group).encode())
