"""Small files of JSON that are complete or not there, and whose every line proves it is whole."""

import hashlib
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any

__all__ = ["Damaged", "draft_name", "seal", "sha256", "unseal", "write_complete"]

_HEAD = b'{"sha256":"'
_MIDDLE = b'","content":'
_START = len(_HEAD) + 64 + len(_MIDDLE)


class Damaged(ValueError):
    """What is there is not what was written."""


def sha256(data: bytes) -> str:
    """Return the digest of bytes in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def seal(value: Any) -> bytes:
    """Return one line of JSON with the value and its SHA-256."""
    content = json.dumps(value, separators=(",", ":")).encode()
    return _HEAD + sha256(content).encode() + _MIDDLE + content + b"}\n"


def unseal(line: bytes) -> Any:
    """Return the value of a sealed line.

    Raises
    ------
    Damaged
        If a byte of it is not as it was written.
    """
    content = line[_START:-2]
    digest = line[len(_HEAD) : len(_HEAD) + 64]
    whole = line[: len(_HEAD)] == _HEAD and line[len(_HEAD) + 64 : _START] == _MIDDLE
    if not whole or line[-2:] != b"}\n" or sha256(content).encode() != digest:
        raise Damaged("its checksum is not that of its content")
    return json.loads(content)


def write_complete(path: Path, data: bytes) -> None:
    """Write a file that is there with all its bytes, also after a power cut, or not at all."""
    draft = path.with_name(draft_name())
    try:
        with open(draft, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_name() -> str:
    """Return a name that no other process or thread uses, on no host."""
    host = socket.gethostname().partition(".")[0]
    return f".draft-{host}-{os.getpid()}-{secrets.token_hex(4)}"
