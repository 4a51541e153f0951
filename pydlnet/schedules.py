"""Schedules: which steps a run records.

A schedule is a set of absolute steps, counted from step 0, which always belongs to it. Membership
depends on the step alone, so it is the same however a run is cut into pieces.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._validation import INT64_MAX, IndexArray, as_count, as_indices, check_increasing, freeze

__all__ = ["EverySteps", "ExplicitSteps", "LogSpaced", "Schedule", "log_spaced"]


class Schedule(ABC):
    """A set of steps. Use one of the classes derived from this one."""

    @abstractmethod
    def _after(self, step: int, limit: int, last: int) -> list[int] | IndexArray:
        """Return the first scheduled steps in (step, last], at most `limit` of them."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return kind and parameters, ready for JSON.

        Returns
        -------
        dict
            For `schedule_from_dict`.
        """

    def steps_between(self, first: int, last: int, limit: int) -> IndexArray:
        """Return the scheduled steps in [first, last].

        Parameters
        ----------
        first, last : int
            Absolute steps, both included.
        limit : int
            Number of steps to return at most; the first ones are.

        Returns
        -------
        ndarray of int64
            In ascending order.
        """
        if limit <= 0 or last < first:
            return np.empty(0, dtype=np.int64)
        if first > 0:
            return np.asarray(self._after(first - 1, limit, last), dtype=np.int64)
        after = np.asarray(self._after(0, limit - 1, last), dtype=np.int64)
        return np.concatenate([np.zeros(1, dtype=np.int64), after])

    def __contains__(self, step: int) -> bool:
        """Say whether the step is scheduled."""
        return step == 0 or (step > 0 and len(self._after(step - 1, 1, step)) > 0)


@dataclass(frozen=True)
class LogSpaced(Schedule):
    """Geometric steps; see `log_spaced`.

    Parameters
    ----------
    n : int
        Number of steps from 1 to `until`, before equal ones are merged.
    until : int
        Step that the n-th of them reaches.
    """

    n: int
    until: int = 10**6

    def __post_init__(self) -> None:
        """Check both numbers."""
        # Beyond these bounds the index of a step is not exact in float64.
        object.__setattr__(self, "n", as_count(self.n, "n", 2, 10**9))
        object.__setattr__(self, "until", as_count(self.until, "until", 2, 10**18))

    def _value(self, index: int) -> int:
        return round(math.pow(self.until, index / (self.n - 1)))

    def _after(self, step: int, limit: int, last: int) -> list[int]:
        steps: list[int] = []
        index = 0
        while len(steps) < limit:
            index = self._first_index_after(step)
            step = self._value(index)
            if step > last:
                break
            steps.append(step)
        return steps

    def _first_index_after(self, step: int) -> int:
        # The logarithm is a guess; the values themselves decide.
        guess = (self.n - 1) * math.log(step + 0.5) / math.log(self.until)
        index = max(0, math.floor(guess))
        while index > 0 and self._value(index - 1) > step:
            index -= 1
        while self._value(index) <= step:
            index += 1
        return index

    def to_dict(self) -> dict[str, Any]:
        """Return kind and parameters, ready for JSON."""
        return {"kind": "log_spaced", "n": self.n, "until": self.until}


@dataclass(frozen=True)
class EverySteps(Schedule):
    """The multiples of a number.

    Parameters
    ----------
    every : int
        Distance of the steps, at least 1.
    """

    every: int

    def __post_init__(self) -> None:
        """Check the number."""
        object.__setattr__(self, "every", as_count(self.every, "every", 1))

    def _after(self, step: int, limit: int, last: int) -> IndexArray:
        first = step // self.every + 1
        count = max(0, min(limit, last // self.every - first + 1))
        return (first + np.arange(count, dtype=np.int64)) * self.every

    def to_dict(self) -> dict[str, Any]:
        """Return kind and parameters, ready for JSON."""
        return {"kind": "every", "every": self.every}


@dataclass(frozen=True, eq=False)
class ExplicitSteps(Schedule):
    """Given steps, and step 0.

    Parameters
    ----------
    steps : array_like of int
        Strictly increasing, not negative.
    """

    steps: IndexArray

    def __post_init__(self) -> None:
        """Check and copy the steps."""
        steps = as_indices(self.steps, "steps", INT64_MAX)
        check_increasing(steps, "steps")
        object.__setattr__(self, "steps", freeze(steps))

    def __eq__(self, other: object) -> bool:
        """Compare the steps."""
        return isinstance(other, ExplicitSteps) and np.array_equal(self.steps, other.steps)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def _after(self, step: int, limit: int, last: int) -> IndexArray:
        begin, end = np.searchsorted(self.steps, [step, last], side="right")
        return self.steps[begin : min(end, begin + limit)]

    def to_dict(self) -> dict[str, Any]:
        """Return kind and parameters, ready for JSON."""
        return {"kind": "explicit", "steps": self.steps.tolist()}


def log_spaced(n: int, until: int = 10**6) -> LogSpaced:
    """Return a schedule of geometric steps.

    Parameters
    ----------
    n : int
        Number of steps from 1 to `until`, at least 2.
    until : int, default 10**6
        Step that the n-th of them reaches, at least 2.

    Returns
    -------
    LogSpaced
        Step 0, then until^(i / (n - 1)) for i = 0, 1, ... rounded to integers. Beyond `until` the
        steps go on at the same ratio. Where they are closer than 1 the rounded steps coincide,
        and there are fewer than n of them, the same as
        `numpy.unique(numpy.round(numpy.geomspace(1, until, n)))`.

    Raises
    ------
    ValueError, TypeError
        If an argument is not an integer as above.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.log_spaced(4, until=1000).steps_between(0, 10**5, limit=10).tolist()
    [0, 1, 10, 100, 1000, 10000, 100000]
    """
    return LogSpaced(n, until)


def as_schedule(steps: Schedule | ArrayLike | None, every: int | None) -> Schedule:
    """Return the schedule that the arguments of `Record` ask for."""
    if steps is not None and every is not None:
        raise ValueError("record: expected either steps or every, and not both")
    if every is not None:
        return EverySteps(every)
    if steps is None:
        return log_spaced(200)
    return steps if isinstance(steps, Schedule) else ExplicitSteps(steps)  # type: ignore[arg-type]


def schedule_from_dict(description: dict[str, Any]) -> Schedule:
    """Return the schedule that `Schedule.to_dict` described."""
    fields = dict(description)
    kinds = {"log_spaced": LogSpaced, "every": EverySteps, "explicit": ExplicitSteps}
    kind = fields.pop("kind")
    if kind not in kinds:
        raise ValueError(f"schedule: expected a kind of {list(kinds)}, got {kind!r}")
    schedule: Schedule = kinds[kind](**fields)
    return schedule
