"""One writer a store: a lock that the kernel releases when the process is gone, however it went."""

import contextlib
import errno
import fcntl
import os
import socket
import time
import weakref
from pathlib import Path

__all__ = ["WriterLock", "is_locked"]

# Whoever looks whether a store is being written holds its lock for a moment.
SECONDS_TO_LOOK = 0.1


class WriterLock:
    """Holds the lock of a store.

    Parameters
    ----------
    path : Path
        The file that is locked; made if there is none.

    Raises
    ------
    RuntimeError
        If another writer holds the lock, in this process or another one; names host and process.
    """

    def __init__(self, path: Path) -> None:
        self._owner = os.getpid()
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(self._descriptor, path)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(
                self._descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0
            )
        except BaseException:
            self.release()
            raise
        _held.add(self)

    def check_owner(self) -> None:
        """Raise RuntimeError in a process that was forked while its parent held the lock."""
        if os.getpid() != self._owner:
            raise RuntimeError(
                f"store: opened by process {self._owner}, and cannot be written by its forked "
                f"child {os.getpid()}"
            )

    def release(self) -> None:
        """Let the next writer in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_locked(path: Path) -> bool:
    """Say whether somebody writes the store whose lock is at this path."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int, path: Path) -> None:
    give_up = time.monotonic() + SECONDS_TO_LOOK
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > give_up:
                owner = os.pread(descriptor, 1000, 0).decode(errors="replace") or "another writer"
                raise RuntimeError(
                    f"store: {path.parent.parent} is being written by {owner}"
                ) from None
            time.sleep(0.01)


_held: "weakref.WeakSet[WriterLock]" = weakref.WeakSet()


def _leave_to_parent() -> None:
    # The lock belongs to the open file, which the child shares: it must not outlive the parent.
    for lock in list(_held):
        with contextlib.suppress(OSError):
            lock.release()


os.register_at_fork(after_in_child=_leave_to_parent)
