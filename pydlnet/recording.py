"""What a run records, and when it stops."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import as_count, as_real, hint
from .quantities import ON_FULL_LAYERS, QUANTITIES, is_reserved
from .schedules import (
    EverySteps,
    ExplicitSteps,
    LogSpaced,
    Schedule,
    as_schedule,
    log_spaced,
    schedule_from_dict,
)
from .times import Times, as_times, times_from_dict

__all__ = [
    "EverySteps",
    "ExplicitSteps",
    "LogSpaced",
    "Record",
    "Schedule",
    "Stop",
    "log_spaced",
    "record_from_dict",
]

Quantity = Callable[[list[NDArray[Any]]], ArrayLike]


@dataclass(frozen=True, init=False)
class Record:
    """What to record and at which steps, or at which times of a flow.

    Step 0 and the last step are always recorded.

    Parameters
    ----------
    quantities : str, callable, mapping, or sequence of these; default ("loss",)
        Names of quantities; functions `f(weights) -> float or ndarray`, recorded under
        `f.__name__`; mappings {name: f}.
    steps : array_like of int or Schedule, optional
        Strictly increasing steps, or a schedule such as `log_spaced`.
    every : int, optional
        Record the multiples of this number instead. Without `steps` and `every` it is
        `log_spaced(200)`.
    times : array_like of float, optional
        Strictly increasing times, in place of steps, at which a `GradientFlow` is recorded. Without
        them it is recorded at thirty geometric times a decade, from 0.001 on. Time 0 and the last
        time are always recorded.

    Attributes
    ----------
    names : tuple of str
        Names of the built-in quantities, in the order of the dataset.
    callables : dict of str to callable
        The user's functions by name.
    schedule : Schedule
        The steps; the default if times are given.
    times : Times or None
        The times of a flow; None if steps are given.
    missing_callables : tuple of str
        Names of functions that were recorded in a saved result and are not there any more.

    Raises
    ------
    ValueError, TypeError
        If a quantity is unknown, a function has no name of its own or one that the dataset
        uses, or steps or times are not increasing.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.Record(["singular_values", "loss"], every=10).names
    ('loss', 'singular_values')
    """

    names: tuple[str, ...]
    callables: dict[str, Quantity]
    schedule: Schedule
    times: Times | None
    missing_callables: tuple[str, ...]

    def __init__(
        self,
        quantities: Any = ("loss",),
        steps: Schedule | ArrayLike | None = None,
        every: int | None = None,
        *,
        times: ArrayLike | None = None,
    ) -> None:
        names: set[str] = set()
        callables: dict[str, Quantity] = {}
        for name, function in _items(quantities):
            if function is None:
                names.add(_known(name))
            elif name in callables:
                raise ValueError(f"quantities: expected different names, got {name!r} twice")
            else:
                callables[name] = function
        if not names and not callables:
            raise ValueError("quantities: expected at least one quantity, got none")
        _check_names(callables)
        by_steps = steps is not None or every is not None
        if by_steps and times is not None:
            raise ValueError("record: expected either steps or times, and not both")
        schedule = as_schedule(steps, every)
        self._fill(names, callables, schedule, None if by_steps else as_times(times), ())

    def _fill(
        self,
        names: Iterable[str],
        callables: dict[str, Quantity],
        schedule: Schedule,
        times: Times | None,
        missing: tuple[str, ...],
    ) -> None:
        chosen = set(names)
        object.__setattr__(self, "names", tuple(name for name in QUANTITIES if name in chosen))
        object.__setattr__(self, "callables", callables)
        object.__setattr__(self, "schedule", schedule)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "missing_callables", missing)

    @property
    def core_names(self) -> tuple[str, ...]:
        """Names of the quantities that the core records itself."""
        return tuple(name for name in self.names if name not in ON_FULL_LAYERS)

    def to_dict(self) -> dict[str, Any]:
        """Return quantities, names of functions and schedule, ready for JSON.

        Returns
        -------
        dict
            For `record_from_dict`. Functions are kept by name only.
        """
        return {
            "quantities": list(self.names),
            "callables": [*self.callables, *self.missing_callables],
            "schedule": self.schedule.to_dict(),
            "times": None if self.times is None else self.times.to_dict(),
        }


def record_from_dict(description: Mapping[str, Any]) -> Record:
    """Return the record that `Record.to_dict` described.

    Parameters
    ----------
    description : mapping
        What `to_dict` returned.

    Returns
    -------
    Record
        Without the functions, whose names are in `missing_callables`.

    Raises
    ------
    ValueError
        If a quantity or the schedule is unknown.
    """
    record = Record.__new__(Record)
    times = description.get("times")  # not there in files from before there were flows
    record._fill(
        [_known(name) for name in description["quantities"]],
        {},
        schedule_from_dict(description["schedule"]),
        None if times is None else times_from_dict(times),
        tuple(description["callables"]),
    )
    return record


@dataclass(frozen=True)
class Stop:
    """When a run ends before its last step.

    Parameters
    ----------
    loss : float, optional
        Stop as soon as the loss is at most this; checked every step, with mini-batches at
        recorded steps only. A flow is checked where the steps of its integrator end.
    gradient_norm : float, optional
        Stop when the norm of the gradient in all layers is at most this, at least 0.
    seconds : float, optional
        Stop when the run has taken this long, at least 0.
    condition : callable, optional
        `condition(weights) -> bool`; stop when it is true.
    check_every : int, default 100
        Steps between checks of `gradient_norm` and `condition`, at least 1.

    Raises
    ------
    ValueError, TypeError
        If a field is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> stop = dln.Stop(loss=1e-6, condition=lambda weights: np.linalg.norm(weights[0]) > 100)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=1000, stop=stop)
    >>> trajectory.status, bool(trajectory.data.loss[-1] <= 1e-6)
    ('converged', True)
    """

    loss: float | None = None
    gradient_norm: float | None = None
    seconds: float | None = None
    condition: Callable[[list[NDArray[Any]]], bool] | None = None
    check_every: int = 100

    def __post_init__(self) -> None:
        """Check every field and bring it into its final form."""
        for name, minimum in (("loss", None), ("gradient_norm", 0.0), ("seconds", 0.0)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, as_real(value, name, minimum=minimum))
        if self.condition is not None and not callable(self.condition):
            raise TypeError(f"condition: expected a callable, got {type(self.condition).__name__}")
        object.__setattr__(self, "check_every", as_count(self.check_every, "check_every", 1))


def _items(quantities: Any) -> Iterator[tuple[str, Quantity | None]]:
    """Yield (name, None) for a built-in quantity and (name, function) for a user's."""
    if isinstance(quantities, str):
        yield quantities, None
    elif isinstance(quantities, Mapping):
        for name, function in quantities.items():
            if not isinstance(name, str) or not callable(function):
                raise TypeError(f"quantities: expected {{name: callable}}, got {name!r}")
            yield name, function
    elif callable(quantities):
        yield _name_of(quantities), quantities
    elif isinstance(quantities, Iterable) and not isinstance(quantities, bytes | np.ndarray):
        for item in quantities:
            if not isinstance(item, str | Mapping) and not callable(item):
                raise TypeError(f"quantities: expected a name or a callable, got {item!r}")
            yield from _items(item)
    else:
        raise TypeError(f"quantities: expected names or callables, got {type(quantities).__name__}")


def _known(name: str) -> str:
    if name not in QUANTITIES:
        raise ValueError(
            f"quantities: unknown quantity {name!r}{hint(name, QUANTITIES)}; "
            f"known are {', '.join(QUANTITIES)}"
        )
    return name


def _name_of(function: Quantity) -> str:
    name = getattr(function, "__name__", "<no name>")
    if not name.isidentifier():
        raise ValueError(
            f'quantities: expected a function with a name, got {name}; pass {{"name": f}}'
        )
    return str(name)


def _check_names(callables: Mapping[str, Quantity]) -> None:
    for name in callables:
        if not name.isidentifier():
            raise ValueError(f"quantities: expected a Python identifier as name, got {name!r}")
        # The dimensions of a user's quantity f are f_0, f_1, ...
        owner, _, number = name.rpartition("_")
        if is_reserved(name) or (owner in callables and number.isdecimal()):
            raise ValueError(f"quantities: the name {name!r} is taken; choose another one")
