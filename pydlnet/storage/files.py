"""Files that are there with all their bytes, also after a power cut, or not at all."""

import os
import secrets
import socket
from pathlib import Path

__all__ = ["DRAFT", "SWEEP", "draft_name", "flush", "is_sweep", "write_complete"]

# What the names of files begin with that are not complete.
DRAFT = ".draft-"

# The file in the folder of a sweep that says what is swept.
SWEEP = "sweep.json"


def is_sweep(path: Path) -> bool:
    """Whether a path is the folder of a sweep."""
    return (path / SWEEP).is_file()


def write_complete(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file beside its place, flush it to the disk and move it there."""
    draft = path.with_name(draft_name())
    try:
        with open(draft, "xb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_name() -> str:
    """Return a name that no other process or thread uses, on no host."""
    host = socket.gethostname().partition(".")[0]
    return f"{DRAFT}{host}-{os.getpid()}-{secrets.token_hex(4)}"


def flush(path: Path) -> None:
    """Bring a file to the disk, or the names of the files in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
