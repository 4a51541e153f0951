"""The package itself, through its public function, recording only the first and last loss."""

import pydlnet as dln

from ..cases import LEARNING_RATE, Case, Layers
from .base import Backend


def finished(trajectory: dln.Trajectory) -> dln.Trajectory:
    """Return a trajectory that took all its steps: one that did not has no time a step."""
    if trajectory.status != "finished":
        raise AssertionError(f"pydlnet: the run was to finish, it {trajectory.status}")
    return trajectory


class Pydlnet(Backend):
    def __init__(self, case: Case) -> None:
        self._start = case.start
        self._problem = dln.TargetMatrix(case.target)
        self._method = dln.GradientDescent(LEARNING_RATE)
        self._record = dln.Record(steps=[0])
        self._layers = self._start

    def run(self, n_steps: int) -> None:
        self._layers = finished(
            dln.run(
                self._problem,
                self._start,
                self._method,
                n_steps=n_steps,
                record=self._record,
                progress=False,
            )
        ).weights

    def layers(self) -> Layers:
        return self._layers
