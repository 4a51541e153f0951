"""``pydlnet sweep``: run an experiment file at every point of a grid."""

import contextlib
import functools
import importlib
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import pydlnet as dln
from pydlnet._validation import hint
from pydlnet.storage.files import is_sweep
from pydlnet.sweeps.definition import Definition
from pydlnet.sweeps.functions import as_swept
from pydlnet.sweeps.grid import as_grid

from .build import build, draws
from .completion import BACKENDS
from .config import SECTIONS, Config, check_keys, load
from .sweep_point import Data, data_of, put, run_point
from .sweep_text import counts, list_points, show_failures
from .text import say

__all__ = ["sweep_file"]

_SECTIONS = ("grid", "sweep")
_OF_THE_EXPERIMENT = tuple(name for name in SECTIONS if name != "output")

# Within these seconds a scheduler has to answer.
_TIMEOUT = 5


def sweep_file(
    path: Path,
    settings: list[str],
    *,
    resume: bool,
    recompute: bool,
    shard: str | None,
    list_points: bool,
    **workers: Any,
) -> int:
    """Run a sweep file, or list its points.

    Parameters
    ----------
    path : Path
        The sweep file.
    settings : list of str
        ``key=value``, in place of what the file says.
    resume : bool
        Whether to go on in a folder that holds points.
    recompute : bool
        Whether to compute points that are done.
    shard : str or None
        "K/N": which part to compute.
    list_points : bool
        Only print the points and their state.
    **workers : object
        backend, scheduler and jobs.

    Returns
    -------
    int
        Exit code: 0, 1 if points failed, 130 if it was interrupted.
    """
    config = load(path, settings, _SECTIONS)
    plan = _Plan(config)
    part = _as_shard(shard)
    if list_points:
        return plan.list()
    earlier = plan.earlier()
    begun = earlier is not None and earlier.counts["missing"] < len(earlier)
    if earlier is not None and begun and not (resume or recompute or part):
        raise ValueError(
            f"output.path: {str(plan.folder)!r} holds points of this sweep ({counts(earlier)}); go "
            "on with --resume, or compute all of them again with --recompute"
        )
    plan.check()
    say(f"{plan.describe()}, in {plan.folder}")
    if plan.draws_problems():
        say("problem: drawn anew at every point; with rng = 0 in [problem] all have the same")
    try:
        with _workers(**workers) as keywords, _warnings_as_lines():
            result = plan.launch(recompute=recompute, shard=part, **keywords)
    except KeyboardInterrupt:
        done = plan.earlier()
        state = "nothing done" if done is None else f"{len(done):,} points: {counts(done)}"
        print(f"interrupted, {state}; go on with --resume", file=sys.stderr)
        return 130
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    say(f"{counts(result)} (see more with: pydlnet show {plan.folder})")
    show_failures(result)
    return int(result.counts["failed"] > 0)


class _Plan:
    """What a sweep file asks for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.folder = _folder(config)
        options = config.sections["sweep"]
        check_keys(options, ("rng", "version"), where="[sweep]")
        self._version = str(options.get("version", ""))
        self._rng = options.get("rng")
        given = dict(_flat(config.sections["grid"]))
        if not given:
            raise ValueError('[grid]: expected lists of values, such as "start.depth" = [1, 2, 3]')
        self._keys = _short_names(given)
        self._grid = {name: _as_values(key, given[key]) for name, key in self._keys.items()}
        self._sections = _without(config, list(given))
        self._data: Data | None = None

    def _function(self) -> Any:
        if self._data is None:
            self._data = data_of(self._config)
        return functools.partial(
            run_point, sections=self._sections, data=self._data, keys=self._keys
        )

    def earlier(self) -> dln.Sweep | None:
        """Return what the folder has of it, None if there is no folder."""
        if not is_sweep(self.folder):
            return None
        return self._opened()

    def _opened(self) -> dln.Sweep:
        swept = as_swept(self._function())
        grid = as_grid(self._grid, swept.identity(self._version))
        return dln.Sweep(self.folder, Definition(swept.name, self._version, 0, grid))

    def list(self) -> int:
        """Print all points."""
        list_points(self._opened())
        return 0

    def check(self) -> None:
        """Build the experiment of the first point, which finds what is wrong with the file."""
        first = {name: next(iter(values)) for name, values in self._grid.items()}
        tables = json.loads(json.dumps(self._sections))
        for name, value in first.items():
            put(tables, self._keys[name], value)
        experiment = build(Config("sweep", self._config.data, self._config.gas, tables))
        if not experiment.is_flow:
            experiment.method.check_steps(experiment.run["n_steps"])

    def describe(self) -> str:
        """Return the size of the grid in words."""
        sizes = [f"{name} {len(values)}" for name, values in self._grid.items()]
        total = int(np.prod([len(values) for values in self._grid.values()], dtype=object))
        return f"{total:,} points: {' x '.join(sizes)}"

    def draws_problems(self) -> bool:
        """Say whether every point has a problem of its own, though nobody asked for that."""
        return "problem.rng" not in self._keys.values() and draws(
            "problem", self._sections["problem"]
        )

    def launch(self, **keywords: Any) -> dln.Sweep:
        """Compute what is missing."""
        return dln.sweep(
            self._function(),
            self._grid,
            store=self.folder,
            version=self._version,
            rng=self._rng,
            **keywords,
        )


def _folder(config: Config) -> Path:
    section = config.sections["output"]
    check_keys(section, ("path",), where="[output]")
    path = section.get("path", f"{config.name}.sweep")
    if not isinstance(path, str):
        raise TypeError(f"output.path: expected a path, got {path!r}")
    return Path(path)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield "section.key" and value, whether dotted keys were quoted or are tables."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short_names(keys: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys by what the results call them: without their section where that is clear."""
    for key in keys:
        section, _, rest = key.partition(".")
        if not rest:
            raise ValueError(f'[grid]: expected "section.key", such as "method.{key}", got {key!r}')
        check_keys([section], _OF_THE_EXPERIMENT, where="[grid]", kind="section")
    last = [key.rpartition(".")[2] for key in keys]
    taken = ("status", "point", "rng", "sections", "data", "keys")
    return {
        name if last.count(name) == 1 and name not in taken else key.replace(".", "_"): key
        for key, name in zip(keys, last, strict=True)
    }


def _as_values(key: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError(f"grid.{key}: expected a list of values, got {values!r}")
    if not values:
        raise ValueError(f"grid.{key}: expected at least one value, got none")
    return values


def _without(config: Config, keys: list[str]) -> dict[str, Any]:
    """Return the sections of the experiment without the keys that the grid gives."""
    sections = {name: json_like(config.sections[name], name) for name in _OF_THE_EXPERIMENT}
    for key in keys:
        *path, last = key.split(".")
        table: Any = sections
        for name in path:
            table = table.get(name, {}) if isinstance(table, dict) else {}
        if isinstance(table, dict):
            table.pop(last, None)
    return sections


def json_like(section: Mapping[str, Any], name: str) -> Any:
    """Return a copy of a section, which has nothing but what JSON has."""
    try:
        return json.loads(json.dumps(section))
    except TypeError:
        raise TypeError(f"[{name}]: expected no dates or times") from None


def _as_shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise ValueError(f"--shard: expected K/N, such as 3/100, got {text!r}")
    if not 1 <= int(number) <= int(count):
        raise ValueError(f"--shard: expected 1 <= K <= N, got {text}")
    return int(number), int(count)


@contextlib.contextmanager
def _workers(
    backend: str | None, scheduler: str | None, jobs: int | None
) -> Iterator[dict[str, Any]]:
    """Yield the keywords of `sweep` that say who computes."""
    backend = backend or ("dask" if scheduler else "threads")
    if backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        near = hint(backend, BACKENDS)
        raise ValueError(f"--backend: expected one of {known}, got {backend!r}{near}")
    if scheduler and backend != "dask":
        raise ValueError(f"--scheduler: expected --backend dask with it, got {backend}")
    count = jobs or os.cpu_count() or 1
    if backend == "dask":
        with _dask(scheduler, count) as client:
            yield {"executor": client.get_executor(pure=False)}
        return
    import joblib

    with joblib.parallel_config(backend={"threads": "threading", "processes": "loky"}[backend]):
        if backend == "processes":
            with _leaving_ctrl_c_to_us():
                joblib.Parallel(n_jobs=count)(joblib.delayed(int)() for _ in range(count))
        yield {"n_jobs": count}


@contextlib.contextmanager
def _leaving_ctrl_c_to_us() -> Iterator[None]:
    """Start processes that do not hear of Ctrl-C, which a terminal sends to all that it shows.

    They would say where it hit them, each for itself. What they do is ended by this process, which
    hears of it when they have been started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which they inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _dask(scheduler: str | None, count: int) -> Iterator[Any]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise ImportError("--backend dask needs Dask: pip install 'pydlnet[cluster]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if scheduler is None:
        cluster = distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, dashboard_address=None
        )
        with cluster, distributed.Client(cluster) as client:
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=_TIMEOUT)
    except (OSError, ValueError, TypeError) as error:  # also a TimeoutError
        raise ValueError(
            f"--scheduler: no answer from {scheduler} within {_TIMEOUT} s: {error}"
        ) from None
    with client:
        yield client


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print what a sweep warns of, but for failed points, which are listed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        text = str(warning.message)
        if "points failed" not in text:
            print(f"warning: {text}", file=sys.stderr)
