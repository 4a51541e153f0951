"""How much faster a network comes down than another, each at its best rate of a grid.

The papers tune every curve by itself: at each step the best of all rates counts. Two such curves
are compared by the steps they need to the loss that both of them reach. Runs that read all samples
in every step, those for powers other than 2, are in float32: that takes half the time, and losses
stay far above its rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .. import initialization as init
from .. import metrics
from .._validation import FloatArray, IndexArray
from ..ensembles import run_ensemble
from ..methods import GradientDescent, Method
from ..problems import Regression
from ..recording import Record
from .experiment import unbroken
from .report import Settings

__all__ = ["START_KINDS", "Size", "Tuned", "gain", "largest_rate", "tuned"]

# The paper draws the entries of every layer; its theory starts from balanced layers.
START_KINDS = ("layers 0.01", "layers 0.1", "balanced 0.01")

_RECORDS = 250
_CONVERGED = 1e-3  # of the way from the start to the lowest loss of all


@dataclass(frozen=True)
class Size:
    """How long and how many: steps of every run, and starts of every curve."""

    n_steps: int
    n_starts: int


@dataclass(frozen=True, eq=False)
class Tuned:
    """Losses of several starts at several rates.

    Attributes
    ----------
    steps : ndarray of int, shape (n_records,)
    losses : ndarray, shape (n_starts, n_rates, n_records)
        Infinite from the step on at which a run diverged.
    rates : ndarray, shape (n_rates,)
        As fractions of the largest stable rate at W = 0 and depth 1, or as they are.
    """

    steps: IndexArray
    losses: FloatArray
    rates: FloatArray

    def best(self) -> FloatArray:
        """Return the lowest loss so far of all rates, shape (n_starts, n_records)."""
        lowest: FloatArray = np.minimum.accumulate(self.losses.min(axis=1), axis=-1)
        return lowest

    def until(self, horizon: int, every: int = 1) -> "Tuned":
        """Return the runs as they would be with fewer steps, and of the rates every so many."""
        kept = self.steps <= horizon
        return Tuned(self.steps[kept], self.losses[:, ::every, kept], self.rates[::every])

    def best_rates(self) -> FloatArray:
        """Return for each start the rate with the lowest last loss."""
        rates: FloatArray = self.rates[self.losses[:, :, -1].argmin(axis=1)]
        return rates

    def curve(self) -> xr.DataArray:
        """Return the best losses with their steps."""
        return xr.DataArray(
            self.best(),
            {"start": np.arange(len(self.losses)), "step": self.steps},
            attrs={
                "long_name": "lowest loss so far at any rate of the grid",
                "units": "1",
                "reference": "arXiv:1802.06509",
            },
        )


def largest_rate(problem: Regression) -> float:
    """Return the largest stable rate of descent of W itself at W = 0."""
    weights = (problem.power - 1.0) * np.abs(problem.outputs) ** (problem.power - 2.0)
    scaled = problem.inputs * np.sqrt(weights / problem.n_samples)
    return 2.0 / float(metrics.singular_values(scaled)[0]) ** 2


def tuned(
    problem: Regression,
    depth: int,
    start_kind: str,
    rates: Sequence[float],
    settings: Settings,
    size: Size,
    *,
    method: Method | None = None,
) -> Tuned:
    """Run networks of hidden width 1 from several starts at each of several rates.

    Parameters
    ----------
    problem : Regression
    depth : int
    start_kind : str
        One of `START_KINDS`, or "identity 0.01": every layer but the first is 1 plus such an entry.
    rates : sequence of float
        Learning rates if there is a `method`; otherwise gradient descent at these fractions of
        `largest_rate`.
    settings : Settings
    size : Size
    method : Method, optional
        Its learning rate is replaced.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C.
    """
    scheduled = np.union1d(0, np.rint(np.geomspace(1, size.n_steps, _RECORDS))).astype(np.int64)
    starts = [_start(start_kind, depth, problem, settings.seed, k) for k in range(size.n_starts)]
    unit = largest_rate(problem) if method is None else 1.0
    kind = GradientDescent(1.0) if method is None else method
    methods = [replace(kind, learning_rate=unit * rate) for rate in rates]  # type: ignore[type-var]
    ensemble = unbroken(
        run_ensemble(
            problem,
            [start for start in starts for _ in methods],
            methods * size.n_starts,
            n_steps=size.n_steps,
            record=Record(steps=scheduled),
            progress=False,
            threads=settings.threads,
        )
    )
    losses = ensemble.data["loss"].reindex(step=scheduled).values
    losses = np.where(np.isfinite(losses), losses, np.inf)
    shape = (size.n_starts, len(methods), losses.shape[-1])
    return Tuned(scheduled, losses.reshape(shape), np.array(rates, dtype=np.float64))


def _start(
    kind: str, depth: int, problem: Regression, seed: int, number: int
) -> list[NDArray[Any]]:
    dtype = np.float64 if problem.power == 2.0 else np.float32
    return [layer.astype(dtype) for layer in _drawn(kind, depth, problem, seed, number)]


def _drawn(kind: str, depth: int, problem: Regression, seed: int, number: int) -> list[FloatArray]:
    rng = np.random.default_rng([seed, number])
    widths = (problem.shape[1], *[1] * depth)
    name, scale = kind.split()
    if name == "balanced":
        return init.balanced(widths, scale=float(scale), rng=rng)
    layers = init.gaussian(widths, std=float(scale), rng=rng)
    if name == "identity":
        return [layers[0], *(1.0 + layer for layer in layers[1:])]
    return layers


def gain(one: Tuned, other: Tuned) -> FloatArray:
    """Return for each start the steps of one over those of the other, to a loss that both reach.

    That loss is the higher one of their last losses, or if both have converged a thousandth of the
    way up from the lowest loss of all to that at the start.
    """
    first, second = one.best(), other.best()
    lowest = min(first.min(), second.min())
    converged = lowest + _CONVERGED * (first[:, 0] - lowest)
    goal = np.maximum(np.maximum(first[:, -1], second[:, -1]), converged)[:, np.newaxis]
    steps = [
        np.maximum(run.steps[np.argmax(best <= goal, axis=1)], 1.0)
        for run, best in ((one, first), (other, second))
    ]
    result: FloatArray = steps[0] / steps[1]
    return result
