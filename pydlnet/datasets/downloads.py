"""Downloads to the user's cache, which say within seconds what to do where there is no network."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Remote", "fetch"]

_CONNECT = 4.0  # seconds for a connection to one address of a server
_PATIENCE = 6.0  # seconds until somebody has answered, which names that never resolve end as well
_SILENCE = 15.0  # seconds without a byte from a server that is connected


@dataclass(frozen=True)
class Remote:
    """A file that a publisher offers.

    Attributes
    ----------
    file : str
        Its name in the cache.
    url : str
        Its address.
    page : str
        Address of the page that describes it.
    checksum : str or None
        "algorithm:digits" as published; None if the publisher states none.
    """

    file: str
    url: str
    page: str
    checksum: str | None = None


def fetch(remote: Remote, check: Callable[[Path], object] | None = None) -> Path:
    """Return the place of a file in the user's cache, downloaded if it is not there.

    Parameters
    ----------
    remote : Remote
        The file.
    check : callable, optional
        Raises ValueError if what was downloaded is not what it should be; for files without a
        checksum. A file that is there already is not checked by it.

    Returns
    -------
    Path
        In ``~/.cache/pydlnet``, or where the system has its caches.

    Raises
    ------
    ConnectionError
        If there is no network or no such file; the message names the address, and where a file
        that was downloaded in another way is looked for.
    ValueError
        If what comes is not the published file. Nothing is kept of it.
    OSError
        If the cache cannot be written to.
    """
    import pooch
    import requests

    folder = Path(pooch.os_cache("pydlnet"))
    http = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=2**16, timeout=(_CONNECT, _SILENCE)
    )

    def download(url: str, output: str, owner: Any) -> None:
        _reach(url)
        http(url, output, owner)
        if check is not None:
            check(Path(output))

    try:
        with _quiet(pooch.get_logger()):
            found = pooch.retrieve(
                remote.url, remote.checksum, remote.file, folder, downloader=download
            )
    except requests.RequestException as error:
        raise ConnectionError(_advice(remote, folder, f"no download ({_reason(error)})")) from error
    except ValueError as error:
        raise ValueError(_advice(remote, folder, f"not the published file ({error})")) from error
    except OSError as error:
        raise OSError(_advice(remote, folder, f"cannot keep the file ({error})")) from error
    return Path(found)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence pooch, which would ask for a checksum in a call that the user never wrote."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reach(url: str) -> None:
    """Raise within seconds if nobody answers.

    Timeouts of `requests` begin when the name of the host is resolved, which can take minutes where
    there is no network; only another thread can be left waiting for that.
    """
    import requests

    failures: list[requests.RequestException] = []

    def ask() -> None:
        try:
            requests.head(url, timeout=_CONNECT)
        except requests.RequestException as error:
            failures.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    if failures:
        raise failures[0]
    if thread.is_alive():
        raise requests.ConnectionError(f"no answer within {_PATIENCE:g} s")


def _advice(remote: Remote, folder: Path, what: str) -> str:
    place = folder / remote.file
    wrong = " (what is there now is not that file)" if place.exists() else ""
    return (
        f"{remote.url}: {what}; download it in another way (see {remote.page}) and put it at "
        f"{place}{wrong}, or give its path"
    )


def _reason(error: Exception) -> str:
    """Return the cause that urllib3 gives, without the pool and the number of retries."""
    first = error.args[0] if error.args else error
    return str(getattr(first, "reason", None) or error).rpartition("): ")[2] or str(error)
