"""What `pydlnet watch` shows of a store: numbers, a sparkline, and how long it will take."""

import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pydlnet as dln
from pydlnet.storage.reader import Look  # no public name says where a run goes to

from .text import number

__all__ = ["Speed", "View", "duration", "sparkline", "view_of"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_LETTERS = "_.-=*#"  # where the terminal knows ASCII only
_MOST_PLACES = 120
_LOOKS = 12  # that the speed is taken over


@dataclass(frozen=True)
class View:
    """What there is to be said about a run.

    Attributes
    ----------
    status : str
        "running", or how it ended.
    unit : str
        "step" or "time".
    place : float
        Where the run is.
    end : float or None
        Where it goes to, if that is known.
    loss, effective_rank : float or None
        Of the last record; None if they were not recorded.
    losses : ndarray
        Some of the recorded losses, evenly spaced over the records.
    records : int
        How many there are.
    rate : float
        Steps, or time of a flow, in a second; NaN if it is not known.
    seconds : float
        That the run has taken.
    """

    status: str
    unit: str
    place: float
    end: float | None
    loss: float | None
    effective_rank: float | None
    losses: NDArray[np.float64]
    records: int
    rate: float
    seconds: float

    @property
    def seconds_left(self) -> float:
        """What is left at this rate if no condition ends the run before; NaN if not known."""
        if self.end is None or not self.rate > 0.0:
            return math.nan
        return max(0.0, self.end - self.place) / self.rate

    @property
    def share(self) -> float | None:
        """How much of the way is gone, between 0 and 1; None if it is not known."""
        if not self.end:  # a run that takes no steps has no way
            return None
        return min(1.0, self.place / self.end)

    @property
    def where(self) -> str:
        """The place, and where it goes to."""
        text = f"{self.unit} {_place(self.place)}"
        return text if self.end is None else f"{text} of {_place(self.end)}"

    @property
    def speed(self) -> str:
        """The rate and what is left, as far as they are known."""
        if not self.rate > 0.0:
            return "not known yet" if self.status == "running" else "not known"
        units = "steps" if self.unit == "step" else "of time"
        text = f"{_place(float(f'{self.rate:.3g}'))} {units} a second"
        if self.status != "running" or math.isnan(self.seconds_left):
            return text
        return f"{text}, at most {duration(self.seconds_left)} left"


class Speed:
    """The rate of a run over its last commits, by its own clock."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float]] = deque(maxlen=_LOOKS)

    def add(self, place: float, seconds: float) -> float:
        """Return the rate up to a commit; over all of the run if there is only one."""
        if self._looks and seconds < self._looks[-1][1]:  # it has begun anew
            self._looks.clear()
        if not self._looks or seconds > self._looks[-1][1]:
            self._looks.append((place, seconds))
        first = self._looks[0] if len(self._looks) > 1 else (0.0, 0.0)
        passed = seconds - first[1]
        return (place - first[0]) / passed if passed > 0.0 else math.nan


def view_of(look: Look, speed: Speed) -> View:
    """Return what is to be said about a store."""
    trajectory = look.trajectory
    data = trajectory.data
    is_flow = isinstance(trajectory.method, dln.GradientFlow)
    place = float(trajectory.state.time[0]) if is_flow else float(trajectory.step)
    seconds = float(data.attrs["wall_seconds"])
    losses = _some_of(data, "loss")
    return View(
        status=_status(look),
        unit="time" if is_flow else "step",
        place=place,
        end=None if look.end is None else float(look.end),
        loss=float(losses[-1]) if len(losses) else None,
        effective_rank=_effective_rank(data),
        losses=losses,
        records=int(data.sizes["step"]),
        rate=speed.add(place, seconds),
        seconds=seconds,
    )


def _status(look: Look) -> str:
    if look.is_running:
        return "running"
    if look.was_killed:
        return "killed"
    return look.trajectory.status


def _some_of(data: Any, name: str) -> NDArray[np.float64]:
    if name not in data:
        return np.empty(0)
    count = data.sizes["step"]
    places = np.unique(np.linspace(0, count - 1, min(count, _MOST_PLACES)).round().astype(int))
    return np.asarray(data[name].isel(step=places).values, dtype=np.float64)


def _effective_rank(data: Any) -> float | None:
    if "effective_rank" in data:
        return float(data["effective_rank"][-1])
    if "singular_value" in data:
        values = np.asarray(data["singular_value"][-1].values)
        return dln.metrics.effective_rank(np.diag(values)) if np.isfinite(values).all() else None
    return None


def _place(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e16 else number(value)


def duration(seconds: float) -> str:
    """Return a time in one or two units: "42 s", "3 min 20 s", "2 h 5 min", "12 d 3 h"."""
    if not seconds < 1e12:
        return "ages"
    rest = round(seconds)
    sizes = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    parts = []
    for unit, size in sizes.items():
        parts.append((rest // size, unit))
        rest %= size
    shown = list(itertools.dropwhile(lambda part: part[0] == 0, parts))[:2] or [(0, "s")]
    return " ".join(f"{count} {unit}" for count, unit in shown if count or len(shown) == 1)


def sparkline(values: Sequence[float] | NDArray[Any], width: int, *, is_plain: bool = False) -> str:
    """Return a line of characters that are as high as the values.

    Parameters
    ----------
    values : sequence of float
        Drawn on a logarithmic axis if all that are finite are above 0. The others are blanks.
    width : int
        The most characters to use.
    is_plain : bool, default False
        Whether to use ASCII only.
    """
    levels = _LETTERS if is_plain else _BLOCKS
    array = np.asarray(values, dtype=np.float64)
    if width < 1 or not len(array):
        return ""
    picked = np.unique(np.linspace(0, len(array) - 1, min(len(array), width)).round().astype(int))
    array = array[picked]
    finite = np.isfinite(array)
    if not finite.any():
        return " " * len(array)
    if (array[finite] > 0.0).all():
        array = np.log(array, where=finite, out=np.full(len(array), np.nan))
    else:
        array = array / max(1.0, float(np.abs(array[finite]).max()))  # no difference overflows
    low, high = float(array[finite].min()), float(array[finite].max())
    heights = (array - low) / (high - low) if high > low else np.zeros(len(array))
    return "".join(
        levels[round(float(height) * (len(levels) - 1))] if there else " "
        for height, there in zip(heights, finite, strict=True)
    )
