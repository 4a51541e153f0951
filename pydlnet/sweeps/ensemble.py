"""Runs over grids of problems, starts and methods, through the ensemble kernel."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from .._validation import _brief, as_count, as_weights, is_sequence, widths_of
from ..ensemble_arguments import Layers, looked_at_twice, n_dimensions
from ..methods import Method
from ..problems import Problem
from ..recording import Record, Stop
from ..simulate import LARGEST_STEP, _check_knowledge
from .canonical import canonical, text
from .definition import Definition
from .ensemble_job import EnsembleJob, shape_of
from .grid import Axis, Grid, as_labels
from .launch import Computed, launch
from .opened import Sweep
from .options import as_options
from .work import Job

__all__ = ["sweep_ensemble"]

_NAME = "pydlnet.sweep_ensemble"


def sweep_ensemble(
    problems: Problem | Sequence[Problem] | Mapping[str, Problem],
    starts: Layers | Sequence[Layers] | Mapping[str, Layers],
    methods: Method | Sequence[Method] | Mapping[str, Method],
    *,
    n_steps: int,
    store: str | PathLike[str],
    record: Record | None = None,
    stop: Stop | None = None,
    n_jobs: int | None = None,
    version: str = "",
    rng: int | np.random.Generator | None = None,
    recompute: bool = False,
    verify: bool = True,
    shard: tuple[int, int] | None = None,
    executor: Any = None,
    progress: bool | None = None,
) -> Sweep:
    """Run every method from every start on every problem, many at a time, and keep all records.

    Like `sweep` with a function that calls `run`, and for small networks many times as fast: runs
    of one shape go through `run_ensemble` together.

    Parameters
    ----------
    problems : Problem, or sequence or mapping of Problem
        What is minimised. The keys of a mapping become labels.
    starts : sequence of array_like, shape (d_j, d_{j-1}), or sequence or mapping of these
        The layers; shapes may differ from start to start. Not modified.
    methods : Method, or sequence or mapping of Method
        How to step, of any classes.
    n_steps : int
        Steps of every run, at least 0.
    store : path-like
        Folder for the results, made if it is not there.
    record : Record, optional
        What to record and when; the loss at 200 log-spaced steps if not given.
    stop : Stop, optional
        When to end a run before that. `seconds` would count the company's time, and is refused.
    n_jobs, version, recompute, verify, shard, executor, progress
        As in `sweep`.
    rng : int, numpy.random.Generator or None
        Seed of the mini-batches of all runs, if there are any, each of which derives its own from
        it and its point. Default: that of the folder, or a random one.

    Returns
    -------
    Sweep
        `data` has the dimensions `problems`, `starts` and `methods`, of which those of a single
        value are left out (`point` if all are), with numbers or labels as coordinates. Numbers in
        which the methods differ, such as `learning_rate`, are coordinates along `methods`.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, before the first step.
    RuntimeError, OSError, KeyboardInterrupt
        As in `sweep`.

    Notes
    -----
    Points are directories as those of `sweep`, and go on like them. A member has the same bits in
    any company, so that nothing depends on which runs went together; it agrees with a single `run`
    to rounding. At most 64 MB of records are in memory at a time for each worker.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> starts = {f"scale {s}": dln.init.balanced([2, 2, 2], scale=s, rng=0) for s in (0.1, 0.5)}
    >>> methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1, 1.0)]
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/rates"
    >>> result = dln.sweep_ensemble(problem, starts, methods, n_steps=1000, store=store)
    >>> result.data["status"].sel(starts="scale 0.1").values.tolist()
    ['finished', 'finished', 'diverged']
    >>> result.data["learning_rate"].values
    array([0.01, 0.1 , 1.  ])
    >>> folder.cleanup()
    """
    options = as_options(
        store=store,
        n_jobs=n_jobs,
        version=version,
        rng=rng,
        recompute=recompute,
        verify=verify,
        shard=shard,
        executor=executor,
        progress=progress,
    )
    steps = as_count(n_steps, "n_steps", 0, LARGEST_STEP)
    kept = _as_record(record)
    end = _as_stop(stop)
    fixed = {
        "n_steps": steps,
        "record": _canonical_record(kept),
        "stop": canonical(end, "stop"),
    }
    identity = text({"function": _NAME, "version": version, "bound": fixed})
    columns = {
        "problems": _column(problems, Problem, "problems"),
        "starts": _starts(starts),
        "methods": _column(methods, Method, "methods"),
    }
    grid = _grid(columns, identity)
    _check_runs(columns, kept, steps)

    def job(definition: Definition) -> Job:
        path, seed = options.folder.path, definition.seed
        return EnsembleJob(path, seed, "", options.recompute, steps, kept, end)

    draws = any(method.batch_size is not None for method in columns["methods"].values)
    return launch(Computed(_NAME, "", draws, shape_of), grid, options, job)


@dataclasses.dataclass(frozen=True)
class _Column:
    """The values of one argument.

    Attributes
    ----------
    values : list
        One or more.
    labels : list, or None
        What they are called, if there are several.
    names : list of str
        What messages call them.
    """

    values: list[Any]
    labels: list[Any] | None
    names: list[str]


def _column(given: Any, kind: type, name: str) -> _Column:
    if isinstance(given, kind):
        return _Column([given], None, [name])
    column = _several(given, name, kind.__name__)
    for value, where in zip(column.values, column.names, strict=True):
        if not isinstance(value, kind):
            raise TypeError(f"{where}: expected a {kind.__name__}, got {_brief(value)}")
    return column


def _several(given: Any, name: str, kind: str) -> _Column:
    if isinstance(given, Mapping):
        labels = as_labels(given, name)
        values = list(given.values())
    elif is_sequence(given):
        values = list(given)
        labels = list(range(len(values)))
    else:
        raise TypeError(
            f"{name}: expected a {kind}, or a sequence or mapping of these, got {_brief(given)}"
        )
    if not values:
        raise ValueError(f"{name}: expected at least one, got none")
    return _Column(values, labels, [f"{name}[{label!r}]" for label in labels])


def _starts(given: Any) -> _Column:
    if is_sequence(given):
        given = looked_at_twice(given)
        if n_dimensions(given) < 4:
            return _Column([as_weights(given, "starts")], None, ["starts"])
    column = _several(given, "starts", "list of matrices")
    checked = [as_weights(v, where) for v, where in zip(column.values, column.names, strict=True)]
    return dataclasses.replace(column, values=checked)


def _as_record(record: Any) -> Record:
    record = Record() if record is None else record
    if not isinstance(record, Record):
        raise TypeError(f"record: expected a Record, got {_brief(record)}")
    return record


def _as_stop(stop: Any) -> Stop | None:
    if stop is None:
        return None
    if not isinstance(stop, Stop):
        raise TypeError(f"stop: expected a Stop, got {_brief(stop)}")
    if stop.seconds is not None:
        raise ValueError(
            "stop: expected no seconds, as they would count the time of all runs that go together"
        )
    return stop


def _canonical_record(record: Record) -> Any:
    functions = [canonical(f, f"record: {name}") for name, f in record.callables.items()]
    return [record.to_dict(), functions]


def _grid(columns: Mapping[str, _Column], identity: str) -> Grid:
    """Return one axis for each column of several values; the single ones go with the first."""
    axes = [_axis(name, column) for name, column in columns.items() if column.labels is not None]
    if not axes:
        axes = [Axis("point", ({},), {}, ({},))]
    for name, column in columns.items():
        if column.labels is None:
            key = text(canonical(column.values[0], column.names[0]))
            axes[0] = _with(axes[0], name, key, column.values[0])
    return Grid(tuple(axes), identity)


def _axis(name: str, column: _Column) -> Axis:
    texts = [
        text(canonical(v, where)) for v, where in zip(column.values, column.names, strict=True)
    ]
    if len(set(texts)) < len(texts):
        twice = next(i for i, value in enumerate(texts) if value in texts[:i])
        first, second = column.names[texts.index(texts[twice])], column.names[twice]
        raise ValueError(f"{second}: expected different ones, got the same as {first}")
    labels = {name: list(column.labels or [])}
    if name == "methods":
        labels.update(_differing(column.values))
    return Axis(
        name,
        tuple({name: value} for value in texts),
        labels,
        tuple({name: value} for value in column.values),
    )


def _differing(methods: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the numbers of methods of one class that are not the same for all."""
    if any(type(method) is not type(methods[0]) for method in methods):
        return {}
    columns = {
        field.name: [getattr(method, field.name) for method in methods]
        for field in dataclasses.fields(methods[0])
    }
    return {
        name: values
        for name, values in columns.items()
        if all(type(value) in (int, float) for value in values) and len(set(values)) > 1
    }


def _with(axis: Axis, name: str, key: str, value: Any) -> Axis:
    """Return the axis with a parameter that is the same at all its places."""
    values = axis.values or ()
    return Axis(
        axis.name,
        tuple({**texts, name: key} for texts in axis.texts),
        axis.labels,
        tuple({**values_there, name: value} for values_there in values),
    )


def _check_runs(columns: Mapping[str, _Column], record: Record, n_steps: int) -> None:
    """Raise unless every problem, start and method fit together."""
    problems, starts, methods = columns["problems"], columns["starts"], columns["methods"]
    for problem in problems.values:
        _check_knowledge(problem, record)
    for start, where in _zipped(starts):
        for problem in problems.values:
            problem.check_shape(widths_of(start), where)
    for method, _ in _zipped(methods):
        method.check_steps(n_steps)
        for start in starts.values:
            method.check_network(widths_of(start), record.names)


def _zipped(column: _Column) -> Iterator[tuple[Any, str]]:
    return zip(column.values, column.names, strict=True)
