"""Launching a sweep: find what is done, compute the rest, keep the records."""

import concurrent.futures
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._validation import seed_from
from ..progress import Progress
from .definition import Definition, read_definition, settle
from .dispatch import Records, execute
from .folder import Folder
from .grid import Grid
from .index import IndexWriter, forget, read_index
from .opened import Sweep
from .options import Options
from .sealed import Damaged
from .work import Job, Point

__all__ = ["Computed", "launch"]


@dataclass(frozen=True)
class Computed:
    """What a sweep computes, whatever that is.

    Attributes
    ----------
    name : str
        Of the function.
    source : str
        Digest of its text.
    draws : bool
        Whether its results depend on the seed.
    order : callable or None
        Key by which points are sorted before they are cut into chunks.
    """

    name: str
    source: str
    draws: bool
    order: Callable[[dict[str, Any]], Any] | None = None


def launch(
    computed: Computed, grid: Grid, options: Options, job: Callable[[Definition], Job]
) -> Sweep:
    """Compute what is missing and return all there is.

    Parameters
    ----------
    computed : Computed
        What.
    grid : Grid
        Where.
    options : Options
        How.
    job : callable
        `job(definition)` returns what the workers do, given what the folder settles.

    Returns
    -------
    Sweep
        Everything that is done.
    """
    folder = options.folder
    definition = _settle(computed, grid, options)
    found = _look(computed, definition, options)
    if found.other_source:
        warnings.warn(
            f"the source of {computed.name}, or what it captures, has changed since "
            f"{found.other_source} of the points were computed, and they are kept; compute them "
            "again with recompute=True, or give the function a new version=",
            stacklevel=3,
        )
    todo = found.todo
    if computed.order is not None:
        key = computed.order
        todo = sorted(todo, key=lambda i: key(grid.parameters(i)))

    def points(first: int, last: int) -> list[Point]:
        return [Point(grid.keys[i], grid.parameters(i), grid.labels(i)) for i in todo[first:last]]

    if options.recompute and options.shard is None:
        forget(folder.index)  # every point is about to change
    batches = execute(job(definition), points, len(todo), options.n_jobs, options.executor)
    _follow(folder, found, batches, options.progress)
    return _report(Sweep(folder.path, definition))


def _settle(computed: Computed, grid: Grid, options: Options) -> Definition:
    """Compare with what the folder holds, and write what is swept there now."""
    folder, rng = options.folder, options.rng
    definition = Definition(computed.name, options.version, seed_from(rng), grid)
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
    elif seed != earlier.seed and computed.draws and not options.recompute:
        raise ValueError(
            f"rng: expected the seed {earlier.seed} of the sweep in {folder.path}, got {seed}; use "
            "another folder, or recompute=True to replace its points"
        )
    return settle(folder, Definition(definition.function, definition.version, seed, grid))


@dataclass
class _Found:
    """Which points are done, and which are to be computed.

    Attributes
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

    todo: list[int] = field(default_factory=list)
    changing: list[str] = field(default_factory=list)
    done: int = 0
    other_source: int = 0


def _look(computed: Computed, definition: Definition, options: Options) -> _Found:
    """Look which points are done; a damaged, failed or differently seeded one is not."""
    found, folder = _Found(), options.folder
    there = folder.keys()
    indexed = {} if options.verify or not there else read_index(folder.index)
    for i in options.chosen(len(definition.grid)):
        key = definition.grid.keys[i]
        record = None
        if key in there and not options.recompute:
            record = indexed.get(key) or _whole_record(folder, key)
        if record is None or not _counts(record, computed, definition):
            found.todo.append(i)
            if key in there:
                found.changing.append(key)
        else:
            found.done += 1
            found.other_source += record["source"] != computed.source
    return found


def _counts(record: dict[str, Any], computed: Computed, definition: Definition) -> bool:
    same_seed = not computed.draws or record["seed"] == definition.seed
    return record["status"] == "done" and same_seed


def _whole_record(folder: Folder, key: str) -> dict[str, Any] | None:
    try:
        record = folder.read_record(key)
        if record is not None:
            folder.check(key, record)
    except Damaged:
        return None
    return record


def _follow(
    folder: Folder, found: _Found, batches: Iterator[Records], progress: bool | None
) -> None:
    """Take the records as they come: into the index, and onto the progress bar."""
    total = found.done + len(found.todo)
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
                done += len(records)
                failed += _n_failed(records)
                bar.show(done, failed=failed)
        except (concurrent.futures.BrokenExecutor, concurrent.futures.CancelledError) as error:
            first = str(error).partition("\n")[0]
            why = first or "what they had was cancelled, as when a scheduler goes away"
            raise RuntimeError(
                f"the workers are gone ({why.rstrip('. ')}): at least {done} of {total} points are "
                "done and kept; launch the sweep again to go on"
            ) from error


def _n_failed(records: Sequence[dict[str, Any]]) -> int:
    return sum(record["status"] == "failed" for record in records)


def _report(sweep: Sweep) -> Sweep:
    """Warn of points that failed; return the sweep."""
    failures = sweep.failures
    if failures:
        first = failures[0]
        warnings.warn(
            f"{len(failures)} of {len(sweep)} points failed, the first one at {first.parameters}: "
            f"{first.message}; see `failures`. Launching again tries them again",
            stacklevel=4,
        )
    return sweep
