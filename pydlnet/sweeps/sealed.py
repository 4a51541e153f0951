"""Lines of JSON that prove they are whole."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Damaged", "seal", "sha256", "unseal", "unseal_lines"]

_HEAD = b'{"sha256":"'
_MIDDLE = b'","content":'
_AT_A_TIME = 1000
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
    content = _content(line)
    if content is None:
        raise Damaged("its checksum is not that of its content")
    return json.loads(content)


def unseal_lines(lines: Iterable[bytes]) -> Iterator[Any]:
    """Yield the values of those lines that are whole.

    Many are read at a time, so that they share the names in them: these take most of the memory.
    """
    contents = (content for line in lines if (content := _content(line)) is not None)
    while some := list(itertools.islice(contents, _AT_A_TIME)):
        yield from json.loads(b"[" + b",".join(some) + b"]")


def _content(line: bytes) -> bytes | None:
    """Return what is in a sealed line, or None if a byte of it is not as it was written."""
    content = line[_START:-2]
    digest = line[len(_HEAD) : len(_HEAD) + 64]
    whole = line[: len(_HEAD)] == _HEAD and line[len(_HEAD) + 64 : _START] == _MIDDLE
    if not whole or line[-2:] != b"}\n" or sha256(content).encode() != digest:
        return None
    return content
