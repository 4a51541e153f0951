"""Schedules of flows: the times at which a flow is recorded.

Like a schedule of steps, a set of times that knows nothing of where a run ends, so it is the same
however the run is cut into pieces. Time 0 always belongs to it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._validation import FloatArray, as_array, check_increasing, freeze

__all__ = ["ExplicitTimes", "GeometricTimes", "Times", "times_from_dict"]


class Times(ABC):
    """A set of times. Use one of the classes derived from this one."""

    @abstractmethod
    def _up_to(self, last: float) -> FloatArray:
        """Return the times in (0, last], ascending."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return kind and parameters, ready for JSON.

        Returns
        -------
        dict
            For `times_from_dict`.
        """

    def after(self, time: float, last: float) -> FloatArray:
        """Return the times in (time, last].

        Parameters
        ----------
        time, last : float
            Both at least 0.

        Returns
        -------
        ndarray of float64
            In ascending order.
        """
        times = self._up_to(last)
        return times[np.searchsorted(times, time, side="right") :]

    def __contains__(self, time: float) -> bool:
        """Say whether the time is scheduled."""
        return time == 0.0 or (time > 0.0 and bool(np.isin(time, self._up_to(time))))


@dataclass(frozen=True)
class GeometricTimes(Times):
    """Times 10^(i / 30) for the integers i from -90 on: thirty a decade from 0.001 on."""

    _a_decade = 30
    _first = -90

    def _up_to(self, last: float) -> FloatArray:
        if last <= 0.0:
            return np.empty(0)
        end = math.floor(self._a_decade * math.log10(last)) + 2  # a guess; the values decide
        values = [math.pow(10.0, i / self._a_decade) for i in range(self._first, end)]
        return np.array([value for value in values if value <= last], dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return the kind, ready for JSON."""
        return {"kind": "geometric"}


@dataclass(frozen=True, eq=False)
class ExplicitTimes(Times):
    """Given times, and time 0.

    Parameters
    ----------
    times : array_like of float
        Strictly increasing, finite, not negative.
    """

    times: FloatArray

    def __post_init__(self) -> None:
        """Check and copy the times."""
        times = as_array(self.times, "times", 1)
        if times[0] < 0.0:
            raise ValueError(f"times[0]: expected a number >= 0, got {times[0]:g}")
        check_increasing(times, "times")
        object.__setattr__(self, "times", freeze(times))

    def __eq__(self, other: object) -> bool:
        """Compare the times."""
        return isinstance(other, ExplicitTimes) and np.array_equal(self.times, other.times)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def _up_to(self, last: float) -> FloatArray:
        begin, end = np.searchsorted(self.times, [0.0, last], side="right")
        return self.times[begin:end]

    def to_dict(self) -> dict[str, Any]:
        """Return kind and times, ready for JSON."""
        return {"kind": "explicit", "times": self.times.tolist()}


def as_times(times: ArrayLike | None) -> Times:
    """Return the times that the argument of `Record` asks for."""
    return GeometricTimes() if times is None else ExplicitTimes(times)  # type: ignore[arg-type]


def times_from_dict(description: dict[str, Any]) -> Times:
    """Return the times that `Times.to_dict` described.

    Parameters
    ----------
    description : dict
        What `to_dict` returned.

    Returns
    -------
    Times
        The same times.

    Raises
    ------
    ValueError
        If the kind is unknown.
    """
    if description["kind"] == "geometric":
        return GeometricTimes()
    if description["kind"] == "explicit":
        return ExplicitTimes(description["times"])
    raise ValueError(f"times: expected a geometric or explicit kind, got {description['kind']!r}")
