"""What both estimators share: their parameters, and descent at a rate that does not diverge."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from .. import initialization
from .._validation import as_count, as_real
from ..methods import GradientDescent
from ..problems import Problem
from ..recording import Record, Stop, log_spaced
from ..simulate import run

Layers = list[NDArray[Any]]

# Halvings of an automatic rate that diverges before giving up.
MOST_HALVINGS = 30


class Options(NamedTuple):
    """Parameters of an estimator, checked."""

    depth: int
    width: int
    scale: float
    rate: float | None  # None is automatic
    max_iter: int
    tol: float
    rng: np.random.RandomState


class Descent(NamedTuple):
    """Where a descent ended."""

    weights: Layers
    status: str
    loss: float
    n_steps: int
    rate: float


def checked(estimator: Any, default_width: int) -> Options:
    """Return the parameters that the estimators share, or raise naming the one that is wrong."""
    rate, width = estimator.learning_rate, estimator.width
    if isinstance(rate, str) and rate != "auto":
        raise ValueError(f"learning_rate: expected a number or 'auto', got {rate!r}")
    return Options(
        depth=as_count(estimator.depth, "depth", 1),
        width=default_width if width is None else as_count(width, "width", 1),
        scale=as_real(estimator.scale, "scale", positive=True),
        rate=None if isinstance(rate, str) else as_real(rate, "learning_rate", positive=True),
        max_iter=as_count(estimator.max_iter, "max_iter", 1),
        tol=as_real(estimator.tol, "tol", positive=True),
        rng=check_random_state(estimator.random_state),
    )


def check_range(values: NDArray[Any], name: str) -> None:
    """Raise ValueError if sums of centred values may leave the range of float64."""
    largest = np.max(np.abs(values), where=~np.isnan(values), initial=0.0)
    if largest > np.finfo(np.float64).max / values.size:
        raise ValueError(f"{name}: expected numbers with sums that are finite in float64")


def start(options: Options, n_inputs: int, n_outputs: int) -> Layers:
    """Draw the layers to start from."""
    widths = (n_inputs, *[options.width] * (options.depth - 1), n_outputs)
    seed = int(options.rng.randint(np.iinfo(np.int32).max))
    return initialization.gaussian(widths, end_to_end_scale=options.scale, rng=seed)


def descend(
    problem: Problem,
    weights: Layers,
    options: Options,
    largest_rate: float,
    stop: Callable[[], Stop],
) -> Descent:
    """Descend at the rate that was asked for, or at the largest halving that does not diverge.

    `stop` is called once for each descent.
    """
    rate = largest_rate if options.rate is None else options.rate
    for _ in range(MOST_HALVINGS):
        result = _descend_at(problem, weights, options.max_iter, rate, stop())
        if result.status == "interrupted":
            raise KeyboardInterrupt
        if result.status != "diverged":
            return result
        if options.rate is not None:
            break
        rate *= 0.5
    if options.rate is None:
        raise ValueError(
            f"scale: the descent diverged at all rates, the last one {result.rate:g}; take a "
            f"smaller scale than {options.scale:g}"
        )
    raise ValueError(
        f"learning_rate: the descent diverged after {result.n_steps} iterations at the rate "
        f"{result.rate:g}; take a smaller one, or 'auto'"
    )


def _descend_at(
    problem: Problem, weights: Layers, max_iter: int, rate: float, stop: Stop
) -> Descent:
    record = Record("loss", steps=log_spaced(2, until=max_iter))
    trajectory = run(
        problem,
        weights,
        GradientDescent(rate),
        n_steps=max_iter,
        record=record,
        stop=stop,
        progress=False,
    )
    data = trajectory.data
    loss, step = float(data["loss"][-1]), int(data["step"][-1])
    return Descent(trajectory.weights, trajectory.status, loss, step, rate)


def warn(message: str) -> None:
    """Warn that a fit has not come to its end."""
    advice = "increase max_iter or tol, or change learning_rate or scale"
    warnings.warn(f"{message}; {advice}", ConvergenceWarning, stacklevel=4)
