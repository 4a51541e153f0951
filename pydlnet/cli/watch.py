"""``pydlnet watch``: follow a run that is being stored, in the terminal."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

import pydlnet as dln
from pydlnet.storage.files import is_sweep
from pydlnet.storage.reader import Look, is_store, look  # no public name says who writes a store

from .text import number
from .watch_view import Speed, View, duration, sparkline, view_of

__all__ = ["watch_path"]

_SECONDS_IN_TERMINAL = 1.0
_SECONDS_IN_LOG = 10.0
_LONGEST_WAIT = 1e7
# A reader may come between two steps of a writer that begins anew; damage and absence stay.
_TRIES = 5
_SECONDS_BETWEEN_TRIES = 0.2
_SECONDS_TO_BEGIN_ANEW = 3.0

# Columns below which what is said about a run has a line each.
_NARROW = 48

_ENDS = {
    "converged": "converged",
    "finished": "finished: all steps are taken",
    "diverged": "diverged: the loss is not finite",
    "time_limit": "stopped at its time limit; the same call goes on",
    "interrupted": "interrupted; the same call goes on",
    "killed": "killed: nobody writes it any more; the same call goes on from the last commit",
    "step_too_small": "cannot go on: the gradient has a singularity",
}
_STYLES = {"running": "green", "diverged": "red", "killed": "red", "interrupted": "yellow"}

Show = Callable[[View | None], None]


def watch_path(path: Path, interval: float | None, wait: float | None) -> int:
    """Show what a store holds, again and again, until its run has ended.

    Parameters
    ----------
    path : Path
        The store, which may not be there yet; or a saved trajectory, which is shown once.
    interval : float or None
        Seconds between two looks; by default 1 in a terminal and 10 elsewhere.
    wait : float or None
        Seconds to wait for a store that is not there yet; None for any time.

    Returns
    -------
    int
        Exit code: 0, 1 if the run diverged, was interrupted or killed; 130 after Ctrl-C.

    Raises
    ------
    ValueError
        If there is something else at that path, nothing in time, or it is damaged.
    """
    _check(path, interval=interval, wait=wait)
    console = Console(highlight=False)
    is_terminal = console.is_terminal and not console.is_dumb_terminal
    pause = interval or (_SECONDS_IN_TERMINAL if is_terminal else _SECONDS_IN_LOG)
    try:
        with _live(console, path) if is_terminal else _lines(path) as show:
            view = _follow(path, show, pause, wait)
    except KeyboardInterrupt:
        print(f"left; watch again with: pydlnet watch {path}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(view.status in ("diverged", "interrupted", "killed"))


def _check(path: Path, **seconds: float | None) -> None:
    """Raise ValueError if no store can come to be at this path, or nobody can wait so long."""
    for name, value in seconds.items():
        if value is not None and not value < _LONGEST_WAIT:
            raise ValueError(f"--{name}: expected at most {_LONGEST_WAIT:g} seconds, got {value}")
    if is_sweep(path):
        raise ValueError(f"expected the store of a run, got a sweep: pydlnet show {path}")
    if path.suffix != ".zarr" and (path.is_dir() or not path.exists()):
        found = "a folder" if path.is_dir() else "no file"
        raise ValueError(f"{found} {str(path)!r}; the name of a store ends in .zarr")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"no folder {str(path.absolute().parent)!r}, in which a store could be")


def _follow(path: Path, show: Show, pause: float, wait: float | None) -> View:
    speed = Speed()
    began = time.monotonic()
    while (view := _look(path, speed)) is None:
        if wait is not None and time.monotonic() - began >= wait:
            raise ValueError(f"no run has committed anything to {path} within {wait:g} s")
        show(None)
        time.sleep(min(pause, 0.5))
    while True:
        show(view)
        if view.status != "running":
            return view
        time.sleep(pause)
        view = _look_again(path, speed)


def _look_again(path: Path, speed: Speed) -> View:
    """Return what is committed where there was a run before."""
    end = time.monotonic() + _SECONDS_TO_BEGIN_ANEW
    while (view := _look(path, speed)) is None:
        if time.monotonic() >= end:
            raise ValueError(f"the run in {path} is gone")
        time.sleep(_SECONDS_BETWEEN_TRIES)
    return view


def _look(path: Path, speed: Speed) -> View | None:
    """Return what is committed; None if nothing is yet."""
    for k in range(_TRIES):
        try:
            found = _look_once(path)
            return None if found is None else view_of(found, speed)
        except (ValueError, OSError):
            if k == _TRIES - 1:
                raise
            time.sleep(_SECONDS_BETWEEN_TRIES)
    return None


def _look_once(path: Path) -> Look | None:
    if path.is_dir() and is_store(path):
        return look(path) if (path / "pydlnet" / "commit").exists() else None
    if not path.exists() or (path.is_dir() and not (path / "zarr.json").exists()):
        return None
    return Look(dln.open(path), is_running=False, was_killed=False, end=None)


@contextlib.contextmanager
def _live(console: Console, path: Path) -> Iterator[Show]:
    """Draw over what was drawn before."""
    with Live(console=console, auto_refresh=False) as live:

        def show(view: View | None) -> None:
            live.update(_picture(path, view, console), refresh=True)

        yield show


def _picture(path: Path, view: View | None, console: Console) -> Group:
    if view is None:
        return Group(Text(f"{path}  waiting for a run to begin (Ctrl-C to leave)", style="yellow"))
    title = Text.assemble(
        str(path), "  ", (_end_of(view), f"bold {_STYLES.get(view.status, 'cyan')}")
    )
    is_plain = not console.encoding.lower().startswith("utf")
    if console.width < _NARROW:
        curve = Text(sparkline(view.losses, console.width, is_plain=is_plain), "cyan")
        return Group(title, *map(Text, _facts(view)), curve)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    share = view.share
    bar = ProgressBar(total=1.0, completed=share, width=30) if share is not None else Text("")
    percent = f"{100 * share:.1f} %" if share is not None else ""
    table.add_row(view.unit, Text(view.where.removeprefix(f"{view.unit} ")))
    if share is not None and view.status == "running":
        line = Table.grid(padding=(0, 2))
        line.add_row(bar, percent)
        table.add_row("", line)
    width = max(0, min(60, console.width - 28))
    table.add_row("loss", _loss(view, width, is_plain))
    table.add_row("effective rank", _rank(view))
    table.add_row("speed", Text(view.speed))
    table.add_row("records", Text(f"{view.records:,} in {duration(view.seconds)}"))
    return Group(title, table)


def _end_of(view: View) -> str:
    return _ENDS.get(view.status, view.status)


def _loss(view: View, width: int, is_plain: bool) -> Text:
    if view.loss is None:
        return Text("not recorded")
    line = sparkline(view.losses, width, is_plain=is_plain)
    return Text.assemble(f"{number(view.loss):<10}  ", (line, "cyan"))


def _rank(view: View) -> Text:
    if view.effective_rank is None:
        return Text("not recorded (effective_rank or singular_values)")
    return Text(number(view.effective_rank))


@contextlib.contextmanager
def _lines(path: Path) -> Iterator[Show]:
    """Print a line for what is new, for logs and pipes."""
    last = [""]

    def show(view: View | None) -> None:
        line = f"waiting for a run to begin in {path}" if view is None else _line(view)
        if line != last[0]:
            last[0] = line
            print(line, flush=True)

    yield show


def _line(view: View) -> str:
    ended = [] if view.status == "running" else [_end_of(view)]
    return ", ".join([*_facts(view), *ended])


def _facts(view: View) -> list[str]:
    """Return what there is to be said about a run, but not how it ended."""
    facts = [view.where]
    if view.loss is not None:
        facts.append(f"loss {number(view.loss)}")
    if view.effective_rank is not None:
        facts.append(f"effective rank {number(view.effective_rank)}")
    facts.append(view.speed if view.rate > 0.0 else f"speed {view.speed}")
    return facts
