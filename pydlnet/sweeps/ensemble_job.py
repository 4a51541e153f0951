"""Points of one shape through the ensemble kernel, as many at a time as memory allows."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from .._validation import widths_of
from ..ensembles import EnsembleTrajectory, run_ensemble
from ..interruption import Interruption
from ..names import with_names, without_names
from ..problems import Problem
from ..recording import Record, Stop
from .results import Result, of_run
from .work import Job, Point, already_done, generator, write_point

__all__ = ["EnsembleJob", "shape_of"]

# What the records of the members that run together may take.
_BYTES = 64 * 2**20

# More records than anybody keeps.
_MOST_RECORDS = 10**7

_FROM_MEMBER = ("problem", "method", "seed")


@dataclass(frozen=True)
class EnsembleJob(Job):
    """Runs of one length, each on its own problem, from its own start, by its own method.

    Attributes
    ----------
    n_steps : int
        Steps of every run.
    record : Record
        What is recorded of it.
    stop : Stop or None
        When it ends before that.
    """

    n_steps: int
    record: Record
    stop: Stop | None

    least: ClassVar[int] = 64  # what fills the lanes of the registers, several times
    argument: ClassVar[str] = "record"

    @property
    def shown(self) -> Any:
        """What messages show of it."""
        return self.record

    def __call__(
        self, points: Sequence[Point], cancelled: threading.Event | None = None
    ) -> list[dict[str, Any]]:
        """Compute points and return their records, unless cancelled between two chunks."""
        records = {point.key: already_done(self, point.key) for point in points}
        for chunk in self._chunks([point for point in points if records[point.key] is None]):
            if cancelled is not None and cancelled.is_set():
                raise KeyboardInterrupt
            records.update({record["key"]: record for record in self._compute(chunk)})
        return [record for record in records.values() if record is not None]

    def _chunks(self, points: list[Point]) -> Iterator[list[Point]]:
        """Yield points of one shape, as many as the memory is for."""
        points = sorted(points, key=lambda point: str(shape_of(point.parameters)))
        for _, group in itertools.groupby(points, lambda point: shape_of(point.parameters)):
            members = list(group)
            size = self._n_together(members[0])
            for first in range(0, len(members), size):
                yield members[first : first + size]

    def _n_together(self, point: Point) -> int:
        try:
            nothing = self._run([point], n_steps=0)
        except Exception:  # what is wrong with it will come again where it is written down
            return 1
        schedule = self.record.schedule
        count = len(schedule.steps_between(0, self.n_steps, _MOST_RECORDS)) + 1
        return max(1, _BYTES // (nothing.data.nbytes * count))

    def _run(self, points: Sequence[Point], n_steps: int) -> EnsembleTrajectory:
        seeds = [int(generator(self.seed, point.key).integers(2**63)) for point in points]
        return run_ensemble(
            [point.parameters["problems"] for point in points],
            [point.parameters["starts"] for point in points],
            [point.parameters["methods"] for point in points],
            n_steps=n_steps,
            record=self.record,
            stop=self.stop,
            rng=seeds,
            progress=False,
        )

    def _compute(self, points: list[Point]) -> list[dict[str, Any]]:
        interruption = Interruption()
        began = time.perf_counter()
        ensemble, error = None, None
        try:
            ensemble = self._run(points, self.n_steps)
        except Exception as raised:
            error = raised
        if interruption or (ensemble is not None and "interrupted" in ensemble.status):
            raise KeyboardInterrupt
        if ensemble is None and len(points) > 1:  # each alone, as only one of them may be at fault
            return [record for point in points for record in self._compute([point])]
        seconds = (time.perf_counter() - began) / len(points)
        results = [
            None if ensemble is None else self._result(ensemble, k, point.parameters["problems"])
            for k, point in enumerate(points)
        ]
        return [
            write_point(self, point, result, error, seconds)
            for point, result in zip(points, results, strict=True)
        ]

    def _result(self, ensemble: EnsembleTrajectory, member: int, problem: Problem) -> Result:
        data = ensemble.data.isel(run=member)
        last_step = int(data["last_step"])
        steps = data["step"].values
        scheduled = self.record.schedule.steps_between(0, last_step, _MOST_RECORDS)
        recorded = np.isin(steps, scheduled) | (steps == last_step)
        mine = data.isel(step=recorded).drop_vars(["run", "status", "last_step"])
        mine = with_names(without_names(mine), problem.names_at(ensemble.widths[-1]))
        return of_run(_as_single(mine), ensemble.status[member], last_step)


def _as_single(data: xr.Dataset) -> xr.Dataset:
    """Return a member's data with what is its own in the attributes, as a run has it."""
    own = {name: data[name].item() for name in _FROM_MEMBER if name in data.coords}
    return data.drop_vars(list(own)).assign_attrs(own)


def shape_of(parameters: dict[str, Any]) -> tuple[Any, ...]:
    """Return what members of one ensemble have in common."""
    start = parameters["starts"]
    return type(parameters["methods"]).__name__, widths_of(start), str(start[0].dtype)
