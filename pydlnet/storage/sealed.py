"""Files that are whole or not there, and whose every bit is checked: a header and arrays.

The file is a line with the SHA-256 of the rest, which is an ``.npz`` archive: a header in JSON and
one array a member. It is written beside its place, flushed to the disk and moved there.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["flush_folder", "read_sealed", "remove_drafts", "write_sealed"]

HEADER = "header"
SUFFIX_OF_DRAFTS = ".partial"


def write_sealed(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Replace a file by one with this content.

    Parameters
    ----------
    path : Path
        In an existing folder.
    header : mapping
        Ready for JSON.
    arrays : mapping of str to ndarray
        Of numbers, under any name but "header".
    """
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    members: dict[str, Any] = {HEADER: text, **arrays}
    np.savez(buffer, **members)
    content = buffer.getbuffer()
    draft = path.with_name(path.name + SUFFIX_OF_DRAFTS)
    with draft.open("wb") as file:
        file.write(hashlib.sha256(content).hexdigest().encode() + b"\n")
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    flush_folder(path.parent)


def read_sealed(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of a file.

    Parameters
    ----------
    path : Path
        Written by `write_sealed`.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is not what was written.
    """
    seal, _, content = path.read_bytes().partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != seal:
        raise ValueError(f"{path} is damaged: its checksum is not that of its content")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header: dict[str, Any] = json.loads(arrays.pop(HEADER).tobytes())
    return header, arrays


def flush_folder(path: Path) -> None:
    """Bring the names of files in a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_drafts(path: Path) -> None:
    """Remove what killed writers, Zarr's included, have left unfinished in a folder."""
    for draft in path.rglob("*" + SUFFIX_OF_DRAFTS):
        draft.unlink(missing_ok=True)
