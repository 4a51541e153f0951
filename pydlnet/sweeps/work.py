"""One point after the other: call the function, write what it returns, or how it failed."""

import inspect
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .._validation import function_name
from ..interruption import Interruption
from .canonical import canonical, fresh, text
from .folder import Folder
from .results import Result, as_result, is_scalar
from .sealed import Damaged

__all__ = [
    "FunctionJob",
    "Job",
    "Point",
    "already_done",
    "generator",
    "source_of",
    "write_point",
]


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
class Job(ABC):
    """What all points of a sweep share.

    Attributes
    ----------
    path : Path
        Folder of the sweep.
    seed : int
        From which all generators are derived.
    source : str
        Digest of the text of what is computed.
    recompute : bool
        Whether to compute points that are done.
    """

    path: Path
    seed: int
    source: str
    recompute: bool

    # Fewest points that are worth a call.
    least: ClassVar[int] = 1

    # What goes to other processes, and its name in messages.
    argument: ClassVar[str] = "function"

    @property
    def shown(self) -> Any:
        """What messages show of it."""
        return None

    @abstractmethod
    def __call__(
        self, points: Sequence[Point], cancelled: threading.Event | None = None
    ) -> list[dict[str, Any]]:
        """Compute points and return their records.

        Raises
        ------
        KeyboardInterrupt
            If it was cancelled, or Ctrl-C was pressed: what a run has then is not its result.
        OSError
            If a result cannot be written.
        """


@dataclass(frozen=True)
class FunctionJob(Job):
    """A function that is called at one point after the other.

    Attributes
    ----------
    function : callable
        What is computed.
    takes_rng : bool
        Whether it gets a generator as `rng`.
    keep_trajectories : bool
        Whether to save them so that they can go on.
    """

    function: Callable[..., Any]
    takes_rng: bool
    keep_trajectories: bool

    @property
    def shown(self) -> Any:
        """What messages show of it."""
        return self.function

    def __call__(
        self, points: Sequence[Point], cancelled: threading.Event | None = None
    ) -> list[dict[str, Any]]:
        """Compute points and return their records, unless cancelled between two of them."""
        records = []
        for point in points:
            if cancelled is not None and cancelled.is_set():
                raise KeyboardInterrupt
            records.append(self._compute(point))
        return records

    def _compute(self, point: Point) -> dict[str, Any]:
        done = already_done(self, point.key)
        if done is not None:
            return done
        interruption = Interruption()
        began = time.perf_counter()
        result: Result | None = None
        error: BaseException | None = None
        try:
            result = as_result(self._call(point))
        except (Exception, SystemExit) as raised:
            error = raised
        if interruption or (result is not None and _is_interrupted(result)):
            raise KeyboardInterrupt
        seconds = time.perf_counter() - began
        return write_point(
            self, point, result, error, seconds, keep_trajectory=self.keep_trajectories
        )

    def _call(self, point: Point) -> Any:
        parameters = {name: fresh(value) for name, value in point.parameters.items()}
        if self.takes_rng:
            parameters["rng"] = generator(self.seed, point.key)
        return self.function(**parameters)


def generator(seed: int, key: str) -> np.random.Generator:
    """Return the generator of a point, the same in any company and in any order."""
    words = [int(key[i : i + 8], 16) for i in range(0, len(key), 8)]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=words))


def already_done(job: Job, key: str) -> dict[str, Any] | None:
    """Return the record if another process has computed the point in the meantime."""
    if job.recompute:
        return None
    folder = Folder(job.path)
    try:
        record = folder.read_record(key)
        if record is None or record["status"] != "done" or record["seed"] != job.seed:
            return None
        folder.check(key, record)
    except Damaged:
        return None
    return record


def _is_interrupted(result: Result) -> bool:
    status = result.variables.get("status")
    return status is not None and bool(np.any(status.values == "interrupted"))


def write_point(
    job: Job,
    point: Point,
    result: Result | None,
    error: BaseException | None,
    seconds: float,
    *,
    keep_trajectory: bool = False,
) -> dict[str, Any]:
    """Write what came of a point, its result or the error, and return its record."""
    folder = Folder(job.path)
    folder.place(point.key).mkdir(parents=True, exist_ok=True)
    record = {
        "key": point.key,
        "status": "failed" if result is None else "done",
        "labels": point.labels,
        "seed": job.seed,
        "source": job.source,
        "seconds": seconds,
        "finished": time.time(),
        "error": None if error is None else _describe_error(error),
        **_write_result(folder, point.key, result, keep_trajectory),
    }
    folder.write_record(point.key, record)
    return record


def _write_result(
    folder: Folder, key: str, result: Result | None, keep_trajectory: bool
) -> dict[str, Any]:
    if result is None:
        return {"variables": {}, "values": {}, "attrs": {}, "files": {}}
    arrays = {name: v for name, v in result.variables.items() if not is_scalar(v)}
    files = {}
    if arrays:
        files["arrays"] = folder.write_arrays(key, arrays)
    if keep_trajectory and result.trajectory is not None:
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
    name = type(error).__name__
    try:
        message = " ".join(" ".join([str(error), *getattr(error, "__notes__", [])]).split())
    except Exception:  # of an exception that cannot say what it is
        message = ""
    return {
        "message": f"{name}: {message}" if message else name,
        "traceback": "".join(traceback.format_exception(error)),
    }


def source_of(function: Callable[..., Any]) -> str:
    """Return the text of a function, as far as it can be had, with what it has captured."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    try:
        captured: dict[str, Any] = dict(inspect.getclosurevars(function).nonlocals)
        defaults = inspect.signature(function).parameters.items()
    except (TypeError, ValueError):
        return source
    captured.update({f"{name}=": p.default for name, p in defaults if p.default is not p.empty})
    values = {name: _text_of(captured[name]) for name in sorted(captured)}
    return f"{source}\n{values}" if values else source


def _text_of(value: Any) -> str:
    """Return what a captured value is, or only its kind if that cannot be said."""
    try:
        return text(canonical(value, ""))
    except (TypeError, ValueError):
        return function_name(value if callable(value) else type(value))
