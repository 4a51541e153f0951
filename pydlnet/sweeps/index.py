"""Copies of the records, many in a file, so that a sweep of 10^5 points opens in seconds.

Every launch appends to a file of its own. The directories of the points are what counts: whatever
an index does not say, says twice or announces to be about to change is looked up there. Long texts
that many records share are written once and named by digest after that.
"""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..storage.files import DRAFT, draft_name
from .sealed import seal, sha256, unseal_lines

__all__ = ["IndexWriter", "read_index"]

# Of a record, what many have in common.
_SHARED = ("variables", "attrs")

# What is not on its way after so many seconds is pushed.
_PATIENCE = 0.5


class IndexWriter:
    """Appends records to an index file of its own, made with the first one.

    Parameters
    ----------
    folder : Path
        Where the index files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stream: BinaryIO | None = None
        self._written: set[str] = set()
        self._pushed = 0.0

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def announce(self, keys: Iterable[str]) -> None:
        """Say that what an index has about these points is about to change."""
        changing = list(keys)
        if changing:
            self._write({"changing": changing})
            assert self._stream is not None
            self._stream.flush()

    def add(self, record: dict[str, Any]) -> None:
        """Append a copy of a record."""
        copy = dict(record)
        for name in _SHARED:
            copy[name] = self._share(record[name])
        self._write({"record": copy})
        if time.monotonic() - self._pushed > _PATIENCE:
            assert self._stream is not None
            self._stream.flush()
            self._pushed = time.monotonic()

    def _share(self, value: dict[str, Any]) -> str | dict[str, Any]:
        if not value:
            return value
        digest = sha256(json.dumps(value, sort_keys=True).encode())[:32]
        if digest not in self._written:
            self._written.add(digest)
            self._write({"shared": digest, "value": value})
        return digest

    def _write(self, value: dict[str, Any]) -> None:
        if self._stream is None:
            self._folder.mkdir(exist_ok=True)
            name = f"{time.time_ns()}-{draft_name().removeprefix(DRAFT)}.jsonl"
            self._stream = open(self._folder / name, "xb")
        self._stream.write(seal(value))


def read_index(folder: Path) -> dict[str, dict[str, Any]]:
    """Return by name the records of which the index files have one undisputed copy."""
    known: dict[str, dict[str, Any] | None] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for key, record in _read_file(path).items():
            known[key] = None if key in known else record
    return {key: record for key, record in known.items() if record is not None}


def forget(folder: Path) -> None:
    """Remove all index files: every point is about to change."""
    for path in folder.glob("*.jsonl"):
        path.unlink(missing_ok=True)


def _read_file(path: Path) -> dict[str, dict[str, Any] | None]:
    known: dict[str, dict[str, Any] | None] = {}
    shared: dict[str, Any] = {}
    for entry in _entries(path):  # of a torn or flipped line the directories know
        if "shared" in entry:
            shared[entry["shared"]] = entry["value"]
        elif "changing" in entry:
            known.update(dict.fromkeys(entry["changing"]))
        else:
            record = entry["record"]
            with contextlib.suppress(KeyError):  # what it shares was in such a line
                for name in _SHARED:
                    if isinstance(record[name], str):
                        record[name] = shared[record[name]]
                known[record["key"]] = record
    return known


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as lines:
            yield from unseal_lines(lines)
    except FileNotFoundError:  # a launch that computes everything again has removed it
        return
