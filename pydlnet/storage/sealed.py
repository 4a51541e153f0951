"""Files that are whole or not there, and whose every bit is checked: a header and arrays.

The file is a line with the SHA-256 of the rest, which is an ``.npz`` archive: a header in JSON and
one array a member.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import DRAFT, flush, write_complete

__all__ = ["read_sealed", "remove_drafts", "write_sealed"]

HEADER = "header"
DRAFTS = (f"{DRAFT}*", "*.partial")  # the latter are Zarr's


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
    write_complete(path, hashlib.sha256(content).hexdigest().encode() + b"\n", content)
    flush(path.parent)


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


def remove_drafts(path: Path) -> None:
    """Remove what killed writers, Zarr's included, have left unfinished in a folder."""
    for pattern in DRAFTS:
        for draft in path.rglob(pattern):
            draft.unlink(missing_ok=True)
