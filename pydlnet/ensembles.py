"""Run many networks of one shape in one call."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from . import _core, summaries
from ._display import as_table
from ._validation import as_count, as_rng, as_weights, is_sequence, seed_from, widths_of
from ._version import VERSION
from .ensemble_loop import Column, EnsembleLoop, EnsembleSetup, Outcome
from .ensemble_records import over_runs
from .interruption import noticing_interruption
from .methods import Method
from .problems import EndToEndLoss, Problem
from .recording import Record, Stop
from .simulate import LARGEST_STEP, _check_knowledge, _wrong_type
from .trajectory import TIME_ATTRIBUTES, Trajectory, to_dataset

__all__ = ["EnsembleTrajectory", "run_ensemble"]

Layers = Sequence[ArrayLike]
Seed = int | np.random.Generator | None
Kind = TypeVar("Kind")

# More threads than any machine has cores.
LARGEST_POOL = 1024

RUN_ATTRIBUTES = {"long_name": "number of the member", "units": "1", "reference": "definition"}


@dataclass(frozen=True, eq=False)
class EnsembleTrajectory:
    """What an ensemble did.

    Attributes
    ----------
    data : xarray.Dataset
        Recorded quantities over the dimensions `run` and `step`: the union of the recorded steps,
        with NaN where a member was not recorded. `status` and `last_step` say where each ended.
    weights : list of list of ndarray, shape (d_j, d_{j-1})
        The layers of each member at its last step.
    status : tuple of str
        Why each member ended, as `Trajectory.status`.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1, 2.0)]
    >>> ensemble = dln.run_ensemble(problem, start, methods, n_steps=1000)
    >>> ensemble.status
    ('finished', 'finished', 'diverged')
    >>> ensemble.data.loss.dims, len(ensemble.weights)
    (('run', 'step'), 3)
    """

    data: xr.Dataset
    weights: list[list[NDArray[Any]]]
    status: tuple[str, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_0, ..., d_N), the same for all members."""
        return widths_of(self.weights[0])

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self.status)

    def __repr__(self) -> str:
        """Show how the members ended and what was recorded."""
        return summaries.line_of_ensemble(self)

    def _repr_html_(self) -> str:
        """Show the same as a table, with the losses at which runs ended."""
        facts = summaries.facts_of_ensemble(self)
        return as_table(f"EnsembleTrajectory of {len(self):,} runs", facts.items())


def run_ensemble(
    problems: Problem | Sequence[Problem],
    starts: Layers | Sequence[Layers],
    methods: Method | Sequence[Method],
    *,
    n_steps: int,
    record: Record | None = None,
    stop: Stop | Sequence[Stop] | None = None,
    rng: Seed | Sequence[Seed] = None,
    progress: bool | None = None,
    threads: int = 1,
) -> EnsembleTrajectory:
    """Run many networks of one shape, each on its own problem, from its own start, at its own rate.

    `problems`, `starts`, `methods`, `stop` and `rng` are each one value for all members or a
    sequence with one for each; all sequences have the same length.

    Parameters
    ----------
    problems : Problem or sequence of Problem
        What is minimised.
    starts : sequence of array_like, shape (d_j, d_{j-1}), or sequence of these
        The layers: of the same widths and dtype for all members. Not modified.
    methods : Method or sequence of Method
        How to step: of one class; rates and everything else may differ.
    n_steps : int
        Steps to take, at least 0.
    record : Record, optional
        What to record of every member and when; the loss at 200 log-spaced steps if not given.
        Step 0 and the last step of every member are always recorded.
    stop : Stop or sequence of Stop, optional
        When to end a member before that. `seconds` counts from the start of the ensemble.
    rng : int, numpy.random.Generator or None, or a sequence of these
        Seeds of the mini-batches, if there are any. From one value a seed for each member is drawn,
        in their order; a sequence is what each member's `run` would get. The seeds are the
        coordinate `seed` of the data.
    progress : bool, optional
        Whether to show a progress bar; by default in terminals and notebooks only.
    threads : int, default 1
        How many threads share the work, at least 1. No number depends on it.

    Returns
    -------
    EnsembleTrajectory
        With one dataset that has the dimension `run` in front.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, before the run starts. What a function of the user's raises
        comes through, with a note naming run and step.

    Notes
    -----
    Each step of a member agrees with that of a single `run` to rounding, and a member has the same
    bits in any company: alone or with others, in any order, on any number of threads.

    A member that converges or diverges ends on its own; the others go on. Ctrl-C ends those that
    are left with what they have (status "interrupted").

    Functions of the user's (a quantity, a condition of `stop`, an `EndToEndLoss`) are called from
    the thread that called this one: where there is an `EndToEndLoss`, it does all the work.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced([2, 2, 2], scale=0.1, rng=0)
    >>> methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1, 1.0)]
    >>> ensemble = dln.run_ensemble(problem, start, methods, n_steps=1000)
    >>> ensemble.status
    ('finished', 'finished', 'diverged')
    >>> ensemble.data.loss.dims
    ('run', 'step')
    """
    setup = _check(problems, starts, methods, n_steps, record, stop, rng, threads)
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(f"progress: expected a bool or None, got {type(progress).__name__}")
    began = time.monotonic()
    loop = EnsembleLoop(setup)
    # To the end, as the interpreter waits for what is counted there before it goes away.
    with noticing_interruption() as interruption:
        outcome = loop.execute(progress, interruption)
        descriptions = _descriptions(setup)
        data = _dataset(setup, outcome, descriptions)
        data.attrs = _attributes(setup, descriptions, time.monotonic() - began)
        return EnsembleTrajectory(data, outcome.weights, outcome.status)


def _check(
    problems: Problem | Sequence[Problem],
    starts: Layers | Sequence[Layers],
    methods: Method | Sequence[Method],
    n_steps: int,
    record: Record | None,
    stop: Stop | Sequence[Stop] | None,
    rng: Seed | Sequence[Seed],
    threads: int,
) -> EnsembleSetup:
    record = Record() if record is None else record
    if not isinstance(record, Record):
        raise _wrong_type(record, Record, "record")
    stop = Stop() if stop is None else stop
    arguments: dict[str, list[Any] | Single] = {
        "problems": _of_kind(problems, Problem, "problems"),
        "starts": as_starts(starts, "starts"),
        "methods": _of_kind(methods, Method, "methods"),
        "stop": _of_kind(stop, Stop, "stop"),
        "rng": list(rng) if is_sequence(rng) else Single(rng),  # type: ignore[arg-type]
    }
    n_members = _common_length(arguments)
    members = {
        name: [value.value] * n_members if isinstance(value, Single) else value
        for name, value in arguments.items()
    }
    _check_one_class(members["methods"])
    setup = EnsembleSetup(
        problems=Column(members["problems"]),
        starts=members["starts"],
        methods=Column(members["methods"]),
        stops=Column(members["stop"]),
        seeds=_seeds(members["methods"], arguments["rng"], n_members),
        record=record,
        widths=widths_of(members["starts"][0]),
        n_steps=as_count(n_steps, "n_steps", 0, LARGEST_STEP),
        n_threads=_as_threads(threads, members["problems"]),
    )
    _check_members(setup)
    return setup


def _as_threads(threads: int, problems: list[Problem]) -> int:
    """Return how many threads to use: one where a function of the user's is called in them."""
    count = as_count(threads, "threads", 1, LARGEST_POOL)
    return 1 if any(isinstance(problem, EndToEndLoss) for problem in problems) else count


def _check_members(setup: EnsembleSetup) -> None:
    first_members = np.unique(setup.problems.places, return_index=True)[1]
    for member, problem in zip(first_members, setup.problems.distinct, strict=True):
        problem.check_shape(setup.widths, f"starts[{member}]")
        _check_knowledge(problem, setup.record)
    for method in setup.methods.distinct:
        method.check_steps(setup.n_steps)
        method.check_network(setup.widths, setup.record.names)


@dataclass(frozen=True)
class Single:
    """One value for all members."""

    value: Any


def _of_kind(value: Any, kind: type[Kind], name: str) -> "list[Kind] | Single":
    if isinstance(value, kind):
        return Single(value)
    if not is_sequence(value):
        raise TypeError(
            f"{name}: expected a {kind.__name__} or a sequence of these, got {type(value).__name__}"
        )
    values = list(value)
    for k, item in enumerate(values):
        if not isinstance(item, kind):
            raise _wrong_type(item, kind, f"{name}[{k}]")
    return values


def as_starts(starts: Any, name: str) -> "list[list[NDArray[Any]]] | Single":
    """Return the checked layers of one start for all, or of one for each member."""
    if isinstance(starts, Trajectory):
        raise TypeError(
            f"{name}: expected layers, got a Trajectory; ensembles begin at step 0: pass "
            "trajectory.weights"
        )
    if not is_sequence(starts):
        raise TypeError(f"{name}: expected lists of matrices, got {type(starts).__name__}")
    starts = [list(part) if _is_consumed(part) else part for part in starts]
    if _n_dimensions(starts) < 4:
        return Single(as_weights(starts, name))
    checked: dict[int, list[NDArray[Any]]] = {}  # one start may be there many times
    for k, start in enumerate(starts):
        if id(start) not in checked:
            checked[id(start)] = as_weights(start, f"{name}[{k}]")
            _check_alike(checked[id(start)], checked[id(starts[0])], name, k)
    return [checked[id(start)] for start in starts]


def _is_consumed(part: Any) -> bool:
    """Whether a start can be looked at once only, or is one array that holds all its layers."""
    return isinstance(part, Iterator) or getattr(part, "ndim", 0) == 3


def _n_dimensions(value: Any) -> int:
    """Return how deep arrays, or numbers, are nested."""
    if hasattr(value, "ndim"):
        return int(value.ndim)
    if not is_sequence(value):
        return 0
    return 1 + (_n_dimensions(next(iter(value))) if len(value) else 0)


def _check_alike(start: list[NDArray[Any]], first: list[NDArray[Any]], name: str, k: int) -> None:
    if widths_of(start) != widths_of(first):
        raise ValueError(
            f"{name}[{k}]: expected widths {widths_of(first)} like {name}[0], got "
            f"{widths_of(start)}"
        )
    if start[0].dtype != first[0].dtype:
        raise TypeError(
            f"{name}[{k}]: expected {first[0].dtype} like {name}[0], got {start[0].dtype}"
        )


def _common_length(arguments: "dict[str, list[Any] | Single]") -> int:
    lengths = {name: len(value) for name, value in arguments.items() if isinstance(value, list)}
    for name, length in lengths.items():
        if length == 0:
            raise ValueError(f"{name}: expected at least one member, got an empty sequence")
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise ValueError(f"{', '.join(lengths)}: expected sequences of one length, got {got}")
    return next(iter(lengths.values()), 1)


def _check_one_class(methods: list[Method]) -> None:
    for k, method in enumerate(methods):
        if type(method) is not type(methods[0]):
            raise TypeError(
                f"methods[{k}]: expected a {type(methods[0]).__name__} like methods[0], got "
                f"{type(method).__name__}"
            )


def _seeds(
    methods: list[Method], rng: "list[Any] | Single", n_members: int
) -> NDArray[np.uint64] | None:
    """Return the seeds of the mini-batches, if any member has them."""
    if isinstance(rng, list):
        seeds = np.array([seed_from(value) for value in rng], np.uint64)
    else:
        seeds = as_rng(rng.value).integers(2**63, size=n_members, dtype=np.uint64)
    return seeds if any(method.batch_size is not None for method in methods) else None


def _dataset(
    setup: EnsembleSetup, outcome: Outcome, descriptions: "dict[str, Column[str]]"
) -> xr.Dataset:
    times = outcome.arrays.pop("time")
    variables = {name: over_runs(variable) for name, variable in outcome.variables.items()}
    data = to_dataset(outcome.steps, None, outcome.arrays, variables)
    coordinates: dict[str, Any] = {"run": ("run", np.arange(setup.n_members), RUN_ATTRIBUTES)}
    if setup.methods[0].has_time:
        coordinates["time"] = (("run", "step"), times, TIME_ATTRIBUTES)
    if setup.seeds is not None:
        seeds = setup.seeds.astype(np.int64)
        coordinates["seed"] = ("run", seeds, _attributes_of("seed of the mini-batches"))
    for name, texts in descriptions.items():
        if len(texts.distinct) > 1:
            each = np.array(texts.distinct, dtype=object)[texts.places]
            coordinates[name] = ("run", each, _attributes_of(f"{name} of each run"))
    status = ("run", np.array(outcome.status), _attributes_of("why the run ended"))
    last_step = ("run", outcome.last_steps, _attributes_of("the step at which the run ended"))
    return data.assign_coords(coordinates).assign(status=status, last_step=last_step)


def _attributes_of(long_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1", "reference": "definition"}


def _descriptions(setup: EnsembleSetup) -> "dict[str, Column[str]]":
    """Return problem and method of each run as JSON."""
    problems = [json.dumps(problem.describe()) for problem in setup.problems.distinct]
    methods = [json.dumps(method.to_dict()) for method in setup.methods.distinct]
    return {
        "problem": Column([problems[place] for place in setup.problems.places]),
        "method": Column([methods[place] for place in setup.methods.places]),
    }


def _attributes(
    setup: EnsembleSetup, descriptions: "dict[str, Column[str]]", seconds: float
) -> dict[str, Any]:
    """Return what holds for all runs."""
    common = {
        name: texts.distinct[0] for name, texts in descriptions.items() if len(texts.distinct) == 1
    }
    algebra = dict.fromkeys(problem.exact_algebra for problem in setup.problems.distinct)
    return {
        **common,
        "widths": list(setup.widths),
        "dtype": str(setup.starts[0][0].dtype),
        "version": VERSION,
        "instruction_set": _core.ISA,
        "exact_algebra": "; ".join(algebra),
        "wall_seconds": seconds,
    }
