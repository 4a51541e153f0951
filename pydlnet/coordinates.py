"""The coordinates of a run: what the core is given, and how its results become the user's."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._validation import FloatArray, freeze
from .blocks import Arrays
from .compression import Compression
from .problems import Problem
from .problems.rotation import RotatedLosses, rotated_losses

__all__ = ["Coordinates"]

Layers = list[NDArray[Any]]


class Coordinates:
    """Full or compressed coordinates of a run, seen from its loop.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    compression : Compression or None
        None for full coordinates.
    widths : tuple of int
        (d_0, ..., d_N) of the full network.
    dtype : dtype
        Of the run.
    batches : bool
        Whether mini-batches are drawn.
    knows_truth : bool
        Whether the distance to the ground truth is recorded.

    Attributes
    ----------
    core_widths : tuple of int
        (c_0, ..., c_N) of the core's network.
    losses : RotatedLosses
        Losses of the core's end-to-end matrix.
    ground_truth : ndarray of float64, shape (c_N, c_0), or None
        In the core's coordinates.
    """

    def __init__(
        self,
        problem: Problem,
        compression: Compression | None,
        widths: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        batches: bool,
        knows_truth: bool,
    ) -> None:
        self._compression = compression
        self.core_widths = widths if compression is None else compression.core_widths
        self.ground_truth: FloatArray | None = problem.ground_truth
        self._mean_outside = 0.0
        if compression is None or not compression.changes_ends:
            self.losses = _own_losses(problem, dtype, widths[-1], batches)
            return
        self.losses = rotated_losses(problem, compression, dtype, batches)
        if self.ground_truth is not None and knows_truth:
            size = self.ground_truth.size
            self.ground_truth, outside = compression.split(self.ground_truth)
            self._mean_outside = outside / size

    def core_bound(self, loss: float) -> float:
        """Return the largest loss of the core that is recorded as at most `loss`."""
        constant = self.losses.constant
        # One step down, as the sum may be rounded up.
        return math.nextafter(loss - constant, -math.inf) if constant > 0.0 else loss

    def lift_records(self, arrays: Arrays) -> Arrays:
        """Return what the full network would have recorded."""
        if self._compression is None:
            return arrays
        lifted = self._compression.lift_records(arrays, self._mean_outside)
        if "loss" in lifted:
            lifted["loss"] = lifted["loss"] + self.losses.constant
        return lifted

    def views(self, session: object) -> Layers:
        """Return the full layers at the current step, read-only, for a moment."""
        if self._compression is None:
            return _core.views(session)
        return self._lifted(_core.weights(session))

    def weights(self, core_layers: Layers) -> Layers:
        """Return the full layers, to be kept."""
        return core_layers if self._compression is None else self._lifted(core_layers)

    def _lifted(self, core_layers: Layers) -> Layers:
        assert self._compression is not None
        return [freeze(layer) for layer in self._compression.lift(core_layers)]


def _own_losses(
    problem: Problem, dtype: np.dtype[Any], n_outputs: int, batches: bool
) -> RotatedLosses:
    batch = problem.core_batch_loss(dtype, n_outputs) if batches else None
    return RotatedLosses(problem.core_loss(dtype, n_outputs), batch, 0.0)
