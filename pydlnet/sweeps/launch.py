"""Launching a sweep: find what is done, compute the rest, keep the records."""

import concurrent.futures
import warnings
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import _brief, as_count
from ..progress import Progress
from .definition import Definition, check_folder, read_definition, settle
from .dispatch import Records
from .folder import Folder
from .index import IndexWriter, forget, read_index
from .opened import Sweep
from .sealed import Damaged

__all__ = [
    "Found",
    "as_flag",
    "as_n_jobs",
    "as_shard",
    "as_store",
    "follow",
    "look",
    "prepare",
    "report",
    "warn_of_other_source",
]


def as_store(store: Any) -> Folder:
    """Return the folder of a sweep that may be written."""
    if not isinstance(store, str | PathLike):
        raise TypeError(f"store: expected a path, got {_brief(store)}")
    path = Path(store)
    check_folder(path)
    return Folder(path)


def as_shard(shard: Any) -> tuple[int, int] | None:
    """Return None or (number, count) with 1 <= number <= count."""
    if shard is None:
        return None
    if not isinstance(shard, tuple | list) or len(shard) != 2:
        raise TypeError(f"shard: expected a pair (number, count), got {_brief(shard)}")
    count = as_count(shard[1], "shard[1]", 1)
    return as_count(shard[0], "shard[0]", 1, count), count


def as_n_jobs(n_jobs: Any) -> int | None:
    """Return None or a number of workers as joblib counts them."""
    if n_jobs is None:
        return None
    count = as_count(n_jobs, "n_jobs", -(2**31), 2**31)
    if count == 0:
        raise ValueError("n_jobs: expected an integer >= 1, or a negative one as in joblib, got 0")
    return count


def prepare(
    folder: Folder, definition: Definition, rng: Any, recompute: bool, draws: bool
) -> Definition:
    """Compare with what the folder holds, and write what is swept there now.

    `draws` says whether the seed matters: whether the points get generators.
    """
    earlier = read_definition(folder, "store")
    if earlier is None:
        return settle(folder, definition)
    if earlier.function != definition.function:
        raise ValueError(
            f"store: expected a sweep of {definition.function} in {folder.path}, got one of "
            f"{earlier.function}"
        )
    seed = definition.seed
    if rng is None:
        seed = earlier.seed
    elif seed != earlier.seed and draws and not recompute:
        raise ValueError(
            f"rng: expected the seed {earlier.seed} of the sweep in {folder.path}, got {seed}; use "
            "another folder, or recompute=True to replace its points"
        )
    final = Definition(definition.function, definition.version, seed, definition.grid)
    return settle(folder, final)


class Found:
    """Which points are done, and which are to be computed.

    Parameters
    ----------
    todo : list of int
        To be computed.
    changing : list of str
        Names of those of them of which there is something already.
    done : int
        How many are done.
    other_source : int
        How many of these were computed by another text of the function.
    """

    def __init__(self) -> None:
        self.todo: list[int] = []
        self.changing: list[str] = []
        self.done = 0
        self.other_source = 0


def look(
    folder: Folder,
    definition: Definition,
    chosen: Iterable[int],
    *,
    source: str,
    recompute: bool,
    verify: bool,
    draws: bool,
) -> Found:
    """Look which points are done; a damaged, failed or differently seeded one is not."""
    found = Found()
    there = folder.keys()
    indexed = {} if verify or not there else read_index(folder.index)
    for i in chosen:
        key = definition.grid.keys[i]
        record = None
        if key in there and not recompute:
            record = indexed.get(key) or _whole_record(folder, key)
        if (
            record is None
            or record["status"] != "done"
            or (draws and record["seed"] != definition.seed)
        ):
            found.todo.append(i)
            if key in there:
                found.changing.append(key)
        else:
            found.done += 1
            found.other_source += record["source"] != source
    return found


def _whole_record(folder: Folder, key: str) -> dict[str, Any] | None:
    try:
        record = folder.read_record(key)
        if record is not None:
            folder.check(key, record)
    except Damaged:
        return None
    return record


def warn_of_other_source(found: Found, function: str) -> None:
    """Warn if points were computed by another text of the function."""
    if found.other_source:
        warnings.warn(
            f"the source of {function} has changed since {found.other_source} of the points were "
            "computed, and they are kept; compute them again with recompute=True, or give the "
            "function a new version=",
            stacklevel=4,
        )


def follow(
    folder: Folder,
    found: Found,
    batches: Iterator[Records],
    *,
    everything: bool,
    progress: bool | None,
) -> None:
    """Take the records as they come: into the index, and onto the progress bar."""
    total = found.done + len(found.todo)
    if everything:
        forget(folder.index)
    done, failed = found.done, 0
    with (
        IndexWriter(folder.index) as index,
        Progress(0, total, progress, "point", done=done) as bar,
    ):
        index.announce(found.changing)
        try:
            for records in batches:
                for record in records:
                    index.add(record)
                    failed += record["status"] == "failed"
                done += len(records)
                bar.show(done, failed=failed)
        except (concurrent.futures.BrokenExecutor, concurrent.futures.CancelledError) as error:
            raise RuntimeError(
                f"the workers are gone ({type(error).__name__}): {done} of {total} points are done "
                "and kept; launch the sweep again to go on"
            ) from error


def report(sweep: Sweep) -> Sweep:
    """Warn of points that failed; return the sweep."""
    failed = sweep.counts["failed"]
    if failed:
        first = sweep.failures[0]
        warnings.warn(
            f"{failed} of {len(sweep)} points failed, the first one at {first.parameters}: "
            f"{first.message}; see `failures`. Launching again tries them again",
            stacklevel=3,
        )
    return sweep


def as_flag(value: Any, name: str) -> bool:
    """Return a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected a bool, got {_brief(value)}")
    return bool(value)
