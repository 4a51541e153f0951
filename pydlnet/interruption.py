"""Ctrl-C during runs: the first ends them with what they have, a second one raises.

The handler is installed only while the main thread runs something, and only in place of Python's
own. One counter is shared by all threads, so that runs in other threads end as well.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A second Ctrl-C within this time means it.
SECONDS_TO_INSIST = 2.0


class _Interruptions:
    """How often Ctrl-C was pressed, and when last."""

    def __init__(self) -> None:
        self.count = 0
        self.last = float("-inf")

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        insists = now - self.last < SECONDS_TO_INSIST
        self.count += 1
        self.last = now
        if insists:
            raise KeyboardInterrupt


_interruptions = _Interruptions()


class Interruption:
    """Whether Ctrl-C was pressed since this object was made."""

    def __init__(self) -> None:
        self._before = _interruptions.count

    def __bool__(self) -> bool:
        return _interruptions.count > self._before


@contextmanager
def noticing_interruption() -> Iterator[Interruption]:
    """Turn Ctrl-C into a flag for as long as the block runs."""
    interruption = Interruption()
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interruption
        return
    signal.signal(signal.SIGINT, _interruptions)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
