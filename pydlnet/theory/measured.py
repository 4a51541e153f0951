"""What a trajectory has recorded, as the bounds of the convergence theorem need it."""

from collections.abc import Callable, Sequence

import numpy as np

from .. import chain, metrics
from .._validation import FloatArray
from ..trajectory import Trajectory
from .squared_distance import SquaredDistance

__all__ = ["Measured", "NotRecorded"]

Matrices = Sequence[FloatArray]


class NotRecorded(Exception):
    """A quantity that a trajectory lacks; the message says what to record."""


class Measured:
    """Recorded quantities over `step`, NaN where a record lacks them.

    Each method takes what was recorded, or else computes from recorded layers, and raises
    `NotRecorded` saying what to record if neither is there.

    Parameters
    ----------
    trajectory : Trajectory
        Of a squared distance.
    distance : SquaredDistance
        What it minimised.
    """

    def __init__(self, trajectory: Trajectory, distance: SquaredDistance) -> None:
        self._data = trajectory.data
        self._depth = len(trajectory.widths) - 1
        self._distance = distance

    def excess_loss(self) -> FloatArray:
        """Return the loss above its smallest value, at least 0."""
        if "loss" in self._data:
            excess = self._values("loss") - self._distance.smallest
        else:
            excess = self._of_end_to_end(self._half_square, "loss")
        return np.maximum(excess, 0.0)

    def balancedness(self) -> FloatArray:
        """Return the largest imbalance of neighbouring layers, 0 for a single layer."""
        if self._depth == 1:
            return np.zeros(self._data.sizes["step"])
        if "imbalance" in self._data:
            result: FloatArray = np.max(self._values("imbalance"), axis=1)
            return result
        return self._of_layers(metrics.balancedness, "imbalance or weights")

    def layer_norms(self) -> FloatArray:
        """Return the largest spectral norm of a layer."""
        if "layer_singular_value" in self._data:
            values = self._values("layer_singular_value").reshape(self._data.sizes["step"], -1)
            result: FloatArray = np.fmax.reduce(values, axis=1)
            return result
        return self._of_layers(
            lambda layers: max(float(metrics.singular_values(layer)[0]) for layer in layers),
            "layer_singular_values or weights",
        )

    def largest_singular_values(self) -> FloatArray:
        """Return the spectral norm of the end-to-end matrix."""
        return self._singular_values(0)

    def smallest_singular_values(self) -> FloatArray:
        """Return the smallest singular value of the end-to-end matrix."""
        return self._singular_values(-1)

    def _singular_values(self, mode: int) -> FloatArray:
        if "singular_value" in self._data:
            return self._values("singular_value")[:, mode]
        return self._of_end_to_end(
            lambda matrix: float(metrics.singular_values(matrix)[mode]), "singular_values"
        )

    def _half_square(self, end_to_end: FloatArray) -> float:
        difference = end_to_end - self._distance.target
        with np.errstate(over="ignore"):  # of layers that diverge
            return 0.5 * self._distance.scale * float(np.sum(difference * difference))

    def _of_end_to_end(self, function: Callable[[FloatArray], float], name: str) -> FloatArray:
        if "end_to_end" in self._data:
            matrices = [(matrix,) for matrix in self._values("end_to_end")]
            return _per_record(lambda chain_of_one: function(chain_of_one[0]), matrices)
        return self._of_layers(
            lambda layers: function(chain.product(layers)), f"{name}, end_to_end or weights"
        )

    def _of_layers(self, function: Callable[[Matrices], float], needed: str) -> FloatArray:
        names = [f"W{j}" for j in range(1, self._depth + 1)]
        if names[0] not in self._data:
            raise NotRecorded(f"not recorded: record {needed}")
        arrays = [self._values(name) for name in names]
        return _per_record(function, list(zip(*arrays, strict=True)))

    def _values(self, name: str) -> FloatArray:
        return np.array(self._data[name].values, dtype=np.float64)


def _per_record(function: Callable[[Matrices], float], records: Sequence[Matrices]) -> FloatArray:
    """Return the function of each record, NaN where it is not there or not finite."""
    whole = [all(np.isfinite(matrix).all() for matrix in record) for record in records]
    return np.array(
        [function(record) if ok else np.nan for record, ok in zip(records, whole, strict=True)]
    )
