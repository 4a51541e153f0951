"""Files in a zip archive as downloaded, or in the folder it was unpacked into."""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .._validation import as_path

if TYPE_CHECKING:
    import os

__all__ = ["Files", "base_name", "existing", "opened"]

Files = dict[str, Callable[[], IO[bytes]]]
"""What opens a file, by its name in the archive or the folder."""

# What a file in an archive may unpack to: ten times the largest that is looked for (MovieLens-1M).
MOST_BYTES = 2**28

# What Python's readers of archives raise for wrong bytes: where the archive ends, in its directory,
# and in what is packed by any of the ways that archives know.
_NO_ARCHIVE = (
    zipfile.BadZipFile,
    EOFError,
    OverflowError,
    UnicodeDecodeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    OSError,
    NotImplementedError,  # zipfile raises it for a way of packing, or a version, it does not know
    RuntimeError,  # zipfile: they say that a password is needed
)


def existing(path: str | os.PathLike[str], page: str) -> Path:
    """Return the path of a file or a folder that is there; `page` is where one comes from."""
    location = as_path(path, "path")
    if not location.exists():
        raise FileNotFoundError(
            f"path: no file or folder {str(location)!r}; download the archive from {page} "
            "and give the path of the zip file or of the folder it unpacks to"
        )
    return location


@contextmanager
def opened(location: Path, page: str, wanted: Callable[[str], Any]) -> Iterator[Files]:
    """Give the files of a folder or of a zip archive.

    Parameters
    ----------
    location : Path
        Of the folder or the archive.
    page : str
        Where the archive comes from, for messages.
    wanted : callable
        True of the name of a file that is looked for: an archive without one that holds one other
        archive is packed twice.

    Yields
    ------
    dict of str to callable
        What opens each file, to be called within the context.

    Raises
    ------
    ValueError
        If the archive, or a file in it that is read within the context, is damaged.
    """
    if location.is_dir():
        files = [file for file in location.rglob("*") if file.is_file()]
        yield {str(file.relative_to(location)): partial(_open, file) for file in files}
        return
    try:
        with zipfile.ZipFile(location) as archive, _innermost(archive, wanted) as inner:
            yield {name: partial(_unpacked, inner, name) for name in inner.namelist()}
    except _NO_ARCHIVE as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(
            f"path: {location} is not a complete zip archive ({error}); download it again from "
            f"{page}"
        ) from error


def base_name(name: str) -> str:
    """Return the last part of a name in an archive, whichever way its folders are separated."""
    return re.split(r"[/\\]", name)[-1]


def _open(file: Path) -> IO[bytes]:
    return file.open("rb")


def _unpacked(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a file in an archive; no more comes out of it than the archive says it holds."""
    size = archive.getinfo(name).file_size
    if size > MOST_BYTES:
        raise zipfile.BadZipFile(f"{name} would unpack to {size:,} bytes")
    return archive.open(name)


@contextmanager
def _innermost(archive: zipfile.ZipFile, wanted: Callable[[str], Any]) -> Iterator[zipfile.ZipFile]:
    """Yield the archive, or the one zip archive in it: some of UCI's downloads are packed twice."""
    names = archive.namelist()
    inner = [name for name in names if name.lower().endswith(".zip")]
    if len(inner) == 1 and not any(map(wanted, names)):
        with (
            _unpacked(archive, inner[0]) as file,
            zipfile.ZipFile(io.BytesIO(file.read())) as nested,
        ):
            yield nested
    else:
        yield archive
