"""Ctrl-C during runs: the first ends them with what they have, a second one raises.

The core counts every Ctrl-C, so that runs in all threads hear of it even while the main thread only
waits for them (and gets its KeyboardInterrupt as usual). While the main thread itself is inside a
run, Python's handler is replaced by one that raises only if Ctrl-C comes twice. At the end of the
process runs that are still alive in other threads are ended as well: the interpreter must not go
away beneath them. A forked process begins with none of this but what its only thread is in.
"""

import atexit
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import xarray as xr

from . import _core

# A second Ctrl-C within this time means it.
SECONDS_TO_INSIST = 2.0

# How long the end of the process waits for runs in other threads.
SECONDS_TO_LEAVE = 2.0


class _Handler:
    """Raises KeyboardInterrupt only if Ctrl-C comes twice."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        insists = now - self._last < SECONDS_TO_INSIST
        self._last = now
        if insists:
            raise KeyboardInterrupt


class _ActiveRuns:
    """The runs that there are, in all threads, and whether they are to end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._threads: list[int] = []  # of each run
        self.must_end = False

    def __enter__(self) -> None:
        with self._changed:
            self._threads.append(threading.get_ident())

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._threads.remove(threading.get_ident())
            self._changed.notify_all()

    @property
    def is_any_here(self) -> bool:
        """Whether this thread is inside a run."""
        return threading.get_ident() in self._threads

    def forget_other_threads(self) -> None:
        """Go on in a forked process: a lock may be held by a thread that is not there."""
        self._changed = threading.Condition()
        here = threading.get_ident()
        self._threads = [thread for thread in self._threads if thread == here]

    def end(self) -> None:
        self.must_end = True
        with self._changed:
            self._changed.wait_for(lambda: not self._threads, SECONDS_TO_LEAVE)


class _Termination:
    """Remembers SIGTERM, and ends the process with it when it is asked to."""

    def __init__(self) -> None:
        self.is_due = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.is_due = True

    def happen(self) -> None:
        self.is_due = False
        signal.raise_signal(signal.SIGTERM)


_handler = _Handler()
_termination = _Termination()
_active_runs = _ActiveRuns()
_latest = threading.local()
atexit.register(_active_runs.end)


def _begin_forked_process() -> None:
    _active_runs.forget_other_threads()
    # Put there by a run of the main thread, which is another one here.
    if signal.getsignal(signal.SIGINT) is _handler and not _active_runs.is_any_here:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _core.count_interruptions()


os.register_at_fork(after_in_child=_begin_forked_process)


class Interruption:
    """Whether Ctrl-C was pressed since this object was made, or the process is about to end.

    It ends with the interpreter, or by a SIGTERM that waits for the runs to keep what they have.
    """

    def __init__(self) -> None:
        self._before = _core.n_interruptions()

    def __bool__(self) -> bool:
        return (
            _active_runs.must_end or _termination.is_due or _core.n_interruptions() > self._before
        )


def latest_run_heard_ctrl_c() -> bool:
    """Say whether Ctrl-C was pressed during the latest run in this thread.

    It may have come too late to end that run, which then has another status than "interrupted":
    whoever goes from one run to the next has to ask.
    """
    return getattr(_latest, "heard", False)


@contextmanager
def noticing_interruption() -> Iterator[Interruption]:
    """Turn Ctrl-C into a flag for as long as the block runs.

    A handler of the user's own stays in place, and is then the only one that hears of Ctrl-C.
    """
    current = signal.getsignal(signal.SIGINT)
    if current is signal.default_int_handler or current is _handler:
        _core.count_interruptions()
    outer: Interruption | None = getattr(_latest, "noticing", None)
    with _active_runs:
        # What was pressed since a search began is meant for the runs that it makes as well.
        interruption = Interruption() if outer is None else outer
        _latest.noticing = interruption
        in_main = threading.current_thread() is threading.main_thread()
        if not in_main:
            # At its first use xarray imports Dask where there is one, which fails once the
            # interpreter is on its way out, while this run may still be building its data.
            xr.Variable((), 0.0)
        is_ours = in_main and current is signal.default_int_handler
        if is_ours:
            signal.signal(signal.SIGINT, _handler)
            _core.count_interruptions()
        try:
            yield interruption
        finally:
            if is_ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                _core.count_interruptions()
            _latest.heard = bool(interruption)
            _latest.noticing = outer


@contextmanager
def ending_with_sigterm() -> Iterator[None]:
    """Let the block end when SIGTERM comes, as with Ctrl-C, and the process after it.

    Only the main thread of a process that does not handle SIGTERM itself can do this.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _termination)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if _termination.is_due:
            _termination.happen()
