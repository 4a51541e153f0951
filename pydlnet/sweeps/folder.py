"""The folder of a sweep: a directory a point, named by its hash, with a record and its arrays.

The record is written last, and names the other files with their sizes and digests: a point is done
if its record says so. The files with the arrays are named by what is in them, so that two
processes that compute one point at the same time do not get in each other's way.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..storage.files import SWEEP, draft_name, flush, write_complete
from ..trajectory import Trajectory
from .results import Variable, pack, unpack
from .sealed import Damaged, seal, sha256, unseal

__all__ = ["Folder"]

_RECORD = "point.json"


class Folder:
    """Where the points of a sweep are.

    Parameters
    ----------
    path : Path
        The folder that holds the sweep.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def definition(self) -> Path:
        """The file that says what is swept."""
        return self.path / SWEEP

    @property
    def index(self) -> Path:
        """Where copies of the records are, many in a file."""
        return self.path / "index"

    def place(self, key: str) -> Path:
        """Return the directory of a point."""
        return self.path / "points" / key[:2] / key

    def keys(self) -> set[str]:
        """Return the names of all points that have a directory."""
        found: set[str] = set()
        for group in _scan(self.path / "points"):
            found.update(point.name for point in _scan(Path(group.path)))
        return found

    def read_record(self, key: str) -> dict[str, Any] | None:
        """Return the record of a point, or None if there is none.

        Raises
        ------
        Damaged
            If it is not as it was written.
        """
        try:
            record: dict[str, Any] = unseal((self.place(key) / _RECORD).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Damaged as error:
            raise Damaged(f"{self.place(key) / _RECORD} is damaged: {error}") from None
        if record.get("key") != key:
            raise Damaged(f"{self.place(key) / _RECORD} is damaged: it is of another point")
        return record

    def write_record(self, key: str, record: dict[str, Any]) -> None:
        """Write a record, which makes its point done or failed; drop what an earlier one named."""
        earlier = self._files_of_earlier(key)
        write_complete(self.place(key) / _RECORD, seal(record))
        for name in earlier - {file["name"] for file in record["files"].values()}:
            (self.place(key) / name).unlink(missing_ok=True)

    def _files_of_earlier(self, key: str) -> set[str]:
        try:
            record = self.read_record(key)
        except Damaged:
            return set()
        return set() if record is None else {file["name"] for file in record["files"].values()}

    def write_arrays(self, key: str, variables: dict[str, Variable]) -> dict[str, Any]:
        """Write the arrays of a point and return name, size and digest of the file."""
        data = pack(variables)
        digest = sha256(data)
        name = f"arrays-{digest[:16]}.npz"
        write_complete(self.place(key) / name, data)
        return {"name": name, "size": len(data), "sha256": digest}

    def write_trajectory(self, key: str, trajectory: Trajectory) -> dict[str, Any]:
        """Write a trajectory so that it can go on; return name, size and digest of the file."""
        draft = self.place(key) / f"{draft_name()}.nc"
        try:
            trajectory.save(draft)
            flush(draft)
            digest = sha256(draft.read_bytes())
            name = f"trajectory-{digest[:16]}.nc"
            size = draft.stat().st_size
            os.replace(draft, draft.with_name(name))
        finally:
            draft.unlink(missing_ok=True)
        return {"name": name, "size": size, "sha256": digest}

    def read_arrays(
        self, key: str, record: dict[str, Any], names: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Return some of the arrays of a point.

        Raises
        ------
        Damaged
            If they are not those that were written.
        """
        return unpack(self._read(key, record["files"]["arrays"]), list(names))

    def check(self, key: str, record: dict[str, Any]) -> None:
        """Raise Damaged unless all files of a point are as they were written."""
        for file in record["files"].values():
            self._read(key, file)

    def _read(self, key: str, file: dict[str, Any]) -> bytes:
        path: Path = self.place(key) / file["name"]
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise Damaged(f"{path} is missing") from None
        if len(data) != file["size"]:
            raise Damaged(f"{path} is damaged: expected {file['size']} bytes, got {len(data)}")
        if sha256(data) != file["sha256"]:
            raise Damaged(f"{path} is damaged: its checksum is not that of the record")
        return data


def _scan(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
