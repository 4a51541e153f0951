"""Arguments of an ensemble: each one value for all members, or a sequence with one for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import IndexArray, as_count, as_rng, as_weights, is_sequence, seed_from, widths_of
from .methods import Method
from .names import agreed
from .problems import EndToEndLoss, Problem
from .recording import Record, Stop
from .simulate import LARGEST_STEP, _check_knowledge, _wrong_type
from .tables import names_of_layers
from .trajectory import Trajectory

Layers = Sequence[ArrayLike]
Seed = int | np.random.Generator | None
Value = TypeVar("Value")
Kind = TypeVar("Kind")

# More threads than any machine has cores.
LARGEST_POOL = 1024


class Column(Generic[Value]):
    """A value for each member, of which many may be the same object.

    Parameters
    ----------
    values : sequence
        One for each member.

    Attributes
    ----------
    distinct : list
        Every object once.
    places : ndarray of int64
        Where in `distinct` that of each member is.
    """

    def __init__(self, values: Sequence[Value]) -> None:
        numbers: dict[int, int] = {}
        self.distinct: list[Value] = []
        for value in values:
            if numbers.setdefault(id(value), len(numbers)) == len(self.distinct):
                self.distinct.append(value)
        self.places: IndexArray = np.array([numbers[id(value)] for value in values], np.int64)

    def __getitem__(self, member: int) -> Value:
        """Return the value of a member."""
        return self.distinct[int(self.places[member])]


@dataclass(frozen=True)
class EnsembleSetup:
    """Checked arguments of an ensemble."""

    problems: Column[Problem]
    starts: list[list[NDArray[Any]]]  # of each member
    methods: Column[Method]
    stops: Column[Stop]
    seeds: NDArray[np.uint64] | None  # None as long as nothing is drawn
    record: Record
    widths: tuple[int, ...]
    n_steps: int
    n_threads: int

    @property
    def n_members(self) -> int:
        """Number of members."""
        return len(self.starts)


@dataclass(frozen=True)
class Single:
    """One value for all members."""

    value: Any


def checked(
    problems: Problem | Sequence[Problem],
    starts: Layers | Sequence[Layers],
    methods: Method | Sequence[Method],
    n_steps: int,
    record: Record | None,
    stop: Stop | Sequence[Stop] | None,
    rng: Seed | Sequence[Seed],
    threads: int,
) -> EnsembleSetup:
    """Return the checked arguments of `run_ensemble`, which says what they are."""
    record = Record() if record is None else record
    if not isinstance(record, Record):
        raise _wrong_type(record, Record, "record")
    stop = Stop() if stop is None else stop
    starts = looked_at_twice(starts)
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
    _check_names(setup, starts, isinstance(arguments["starts"], Single))
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


def _check_names(setup: EnsembleSetup, starts: Any, is_single: bool) -> None:
    """Raise unless starts call inputs and outputs as their problems do."""
    compared = set()
    for member in range(setup.n_members):
        problem, start = setup.problems[member], starts if is_single else starts[member]
        if (id(problem), id(start)) not in compared:
            compared.add((id(problem), id(start)))
            name = "starts" if is_single else f"starts[{member}]"
            theirs = names_of_layers(list(start), name)
            agreed([("problems", problem.names_at(setup.widths[-1])), (name, theirs)])


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
    starts = looked_at_twice(starts)
    if n_dimensions(starts) < 4:
        return Single(as_weights(starts, name))
    checked: dict[int, list[NDArray[Any]]] = {}  # one start may be there many times
    for k, start in enumerate(starts):
        if id(start) not in checked:
            checked[id(start)] = as_weights(start, f"{name}[{k}]")
            _check_alike(checked[id(start)], checked[id(starts[0])], name, k)
    return [checked[id(start)] for start in starts]


def looked_at_twice(starts: Any) -> Any:
    """Return starts as lists where they could be looked at once only."""
    if isinstance(starts, Trajectory) or not is_sequence(starts):
        return starts
    return [list(part) if _is_consumed(part) else part for part in starts]


def _is_consumed(part: Any) -> bool:
    """Whether a start can be looked at once only, or is one array that holds all its layers."""
    return isinstance(part, Iterator) or getattr(part, "ndim", 0) == 3


def n_dimensions(value: Any) -> int:
    """Return how deep arrays, or numbers, are nested."""
    if hasattr(value, "ndim"):
        return int(value.ndim)
    if not is_sequence(value):
        return 0
    return 1 + (n_dimensions(next(iter(value))) if len(value) else 0)


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
