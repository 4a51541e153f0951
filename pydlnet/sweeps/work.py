"""One point after the other: call the function, write what it returns, or how it failed."""

import inspect
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..interruption import Interruption
from .folder import Folder
from .results import Result, as_result, is_scalar
from .sealed import Damaged

__all__ = ["Job", "Point", "compute", "generator", "record_failure", "source_of"]


@dataclass(frozen=True)
class Point:
    """What is to be computed.

    Attributes
    ----------
    key : str
        Name of its directory.
    parameters : dict
        What the function gets.
    labels : dict
        What they are called in records.
    """

    key: str
    parameters: dict[str, Any]
    labels: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What all points of a sweep share.

    Attributes
    ----------
    function : callable
        What is computed.
    takes_rng : bool
        Whether it gets a generator as `rng`.
    path : Path
        Folder of the sweep.
    seed : int
        From which all generators are derived.
    source : str
        Digest of the text of the function.
    keep_trajectories : bool
        Whether to save them so that they can go on.
    recompute : bool
        Whether to compute points that are done.
    """

    function: Callable[..., Any]
    takes_rng: bool
    path: Path
    seed: int
    source: str
    keep_trajectories: bool
    recompute: bool

    def __call__(
        self, points: Sequence[Point], cancelled: threading.Event | None = None
    ) -> list[dict[str, Any]]:
        """Compute points and return their records, unless cancelled between two of them."""
        records = []
        for point in points:
            if cancelled is not None and cancelled.is_set():
                raise KeyboardInterrupt
            records.append(compute(self, point))
        return records


def generator(seed: int, key: str) -> np.random.Generator:
    """Return the generator of a point, the same in any company and in any order."""
    words = [int(key[i : i + 8], 16) for i in range(0, len(key), 8)]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=words))


def compute(job: Job, point: Point) -> dict[str, Any]:
    """Compute a point, write it and return its record.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C was pressed meanwhile: what a run has then is not its result.
    OSError
        If the result cannot be written.
    """
    folder = Folder(job.path)
    done = None if job.recompute else _done(folder, job, point.key)
    if done is not None:
        return done
    interruption = Interruption()
    began = time.perf_counter()
    result: Result | None = None
    error = None
    try:
        result = as_result(_call(job, point))
    except (Exception, SystemExit) as raised:
        error = _describe_error(raised)
    if interruption or (result is not None and _is_interrupted(result)):
        raise KeyboardInterrupt
    record = _record(job, point, error, time.perf_counter() - began)
    record.update(_write(folder, job, point.key, result))
    folder.write_record(point.key, record)
    return record


def record_failure(job: Job, point: Point, error: BaseException) -> dict[str, Any]:
    """Record that a point failed in a way that its own process could not write down."""
    folder = Folder(job.path)
    record = _record(job, point, _describe_error(error), 0.0)
    record.update(_write(folder, job, point.key, None))
    folder.write_record(point.key, record)
    return record


def _record(job: Job, point: Point, error: dict[str, str] | None, seconds: float) -> dict[str, Any]:
    return {
        "key": point.key,
        "status": "done" if error is None else "failed",
        "labels": point.labels,
        "seed": job.seed,
        "source": job.source,
        "seconds": seconds,
        "finished": time.time(),
        "error": error,
    }


def _done(folder: Folder, job: Job, key: str) -> dict[str, Any] | None:
    """Return the record if another process has computed the point in the meantime."""
    try:
        record = folder.read_record(key)
        if record is None or record["status"] != "done" or record["seed"] != job.seed:
            return None
        folder.check(key, record)
    except Damaged:
        return None
    return record


def _call(job: Job, point: Point) -> Any:
    if job.takes_rng:
        return job.function(**point.parameters, rng=generator(job.seed, point.key))
    return job.function(**point.parameters)


def _is_interrupted(result: Result) -> bool:
    status = result.variables.get("status")
    return status is not None and bool(np.any(status.values == "interrupted"))


def _write(folder: Folder, job: Job, key: str, result: Result | None) -> dict[str, Any]:
    folder.place(key).mkdir(parents=True, exist_ok=True)
    if result is None:
        return {"variables": {}, "values": {}, "attrs": {}, "files": {}}
    arrays = {name: v for name, v in result.variables.items() if not is_scalar(v)}
    files = {}
    if arrays:
        files["arrays"] = folder.write_arrays(key, arrays)
    if job.keep_trajectories and result.trajectory is not None:
        files["trajectory"] = folder.write_trajectory(key, result.trajectory)
    return {
        "variables": {name: v.describe(name) for name, v in result.variables.items()},
        "values": {
            name: v.values.item() for name, v in result.variables.items() if name not in arrays
        },
        "attrs": result.attrs,
        "files": files,
    }


def _describe_error(error: BaseException) -> dict[str, str]:
    notes = getattr(error, "__notes__", [])
    message = " ".join(" ".join([str(error), *notes]).split())
    name = type(error).__name__
    return {
        "message": f"{name}: {message}" if message else name,
        "traceback": "".join(traceback.format_exception(error)),
    }


def source_of(function: Callable[..., Any]) -> str:
    """Return the text of a function, as far as it can be had, with the plain values it captures."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        text = ""
    try:
        captured = inspect.getclosurevars(function).nonlocals
    except (TypeError, ValueError):
        captured = {}
    simple = {k: v for k, v in captured.items() if isinstance(v, bool | int | float | str)}
    return f"{text}\n{sorted(simple.items())}" if simple else text
