"""Whether the bounds of the convergence theorem held along a trajectory."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import FloatArray
from ..methods import GradientDescent
from ..problems import Problem
from ..trajectory import Trajectory
from .certificates import THEOREM_1, Certificate, assess
from .measured import Measured, NotRecorded
from .squared_distance import SquaredDistance, as_squared_distance

__all__ = ["check", "problem_of"]


def check(trajectory: Trajectory, problem: Problem | None = None) -> xr.Dataset:
    """Compare a trajectory with the bounds of the convergence theorem, record by record.

    Parameters
    ----------
    trajectory : Trajectory
        Of `GradientDescent` on full data without weight decay. What was recorded decides what is
        checked: `loss` (or `end_to_end`, or `weights`), `imbalance`, `layer_singular_values`,
        `singular_values`; `weights` stand for all of them. Its margin must be above 0 at step 0.
    problem : Problem, optional
        What the trajectory minimised; needed if it was opened from a file.

    Returns
    -------
    xarray.Dataset
        Over `step`, for each bound that could be checked `<name>_bound`, `<name>_slack` (how far
        the measurement is on the right side; NaN where it is not recorded or not a number) and
        `<name>_held` (bool: the bound was seen to hold, up to rounding). The names are

        - `loss`: excess loss <= that of step 0 times the contraction of all steps so far,
        - `contraction`: excess loss <= that of the record before times the contraction since,
        - `balance`: largest imbalance <= 2 delta,
        - `layer_norm`: max_j ||W_j||_2 <= (4 ||Phi||_F)^(1/N),
        - `end_to_end_norm`: ||W||_2 <= 2 ||Phi||_F,
        - `smallest_singular_value`: sigma_min(W) >= c.

        The attributes `deficiency_margin`, `balancedness_allowed` and `learning_rate_allowed` are
        those of the start's certificate; `guaranteed` says whether the theorem applies ("yes", "no"
        or "unknown"), `does_not_apply_because` which conditions fail, `not_known` which cannot be
        told from what was recorded, and `not_checked` which bounds could not be checked and why.

    Raises
    ------
    TypeError
        If `trajectory` is not a Trajectory.
    ValueError
        If no bound can be stated: another loss or method, a rank-deficient target, a bottleneck,
        no margin at step 0; if the trajectory has no problem and none is given, or another one.

    See Also
    --------
    pydlnet.plot.check : The picture of it.

    Notes
    -----
    The bounds are those of Theorem 1 of [1]_ (see `certificate`), of its Lemma 2 and of Claim 1.
    They are compared also where the theorem does not promise them, as for larger learning rates.
    The contraction of a step is 1 - rate c^(2-2/N); where the rate varies, its upper bound
    exp(-rate c^(2-2/N)) is taken, which needs the sum of the rates only.

    A trajectory knows the last problem and method only: one that went on with another problem,
    or that had weight decay or mini-batches before, is taken to have had these all the time.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Claim 1, Theorem 1 and Lemma 2.
       arXiv:1810.02281

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> start = dln.init.balanced_from(np.diag([1.0, 0.8]), (2, 2, 2))
    >>> record = dln.Record(["loss", "imbalance"], every=10)
    >>> trajectory = dln.run(
    ...     dln.TargetMatrix(np.diag([1.2, 1.0])),
    ...     start,
    ...     dln.GradientDescent(1e-6),
    ...     n_steps=100,
    ...     record=record,
    ... )
    >>> found = dln.theory.check(trajectory)
    >>> found.attrs["guaranteed"], bool(found.contraction_held.all())
    ('yes', True)
    """
    distance = as_squared_distance(problem_of(trajectory, problem))
    _require_plain_descent(trajectory)
    measured = Measured(trajectory, distance)
    excess = _excess_loss(measured)
    found = _certificate_of_start(measured, distance, trajectory.widths, excess[0])
    noise = _noise(trajectory, found)
    result = xr.Dataset(coords={name: trajectory.data.coords[name] for name in ("step", "time")})
    missing = {}
    bounds = _loss_bounds(trajectory, distance, found, excess, noise)
    for name, comparison in (bounds | _norm_bounds(measured, found, noise)).items():
        try:
            result = result.assign(_variables(name, comparison()))
        except NotRecorded as error:
            missing[name] = str(error)
    against, unknown = _conditions(trajectory, distance, found, noise)
    result.attrs = {
        "reference": THEOREM_1,
        "guaranteed": "no" if against else "unknown" if unknown else "yes",
        "does_not_apply_because": "; ".join(against),
        "not_known": "; ".join(unknown),
        "not_checked": "; ".join(f"{name}: {why}" for name, why in missing.items()),
        "deficiency_margin": found.deficiency_margin,
        "balancedness_allowed": found.balancedness_allowed,
        "learning_rate_allowed": found.learning_rate_allowed,
    }
    return result


@dataclass(frozen=True)
class _Comparison:
    """A measurement beside its bound; `sign` is 1 if it should be below and -1 if above."""

    measured: FloatArray
    bound: FloatArray
    rounding: FloatArray | float
    what: str
    sign: float = 1.0


Comparisons = dict[str, Callable[[], _Comparison]]


def _variables(name: str, comparison: _Comparison) -> dict[str, tuple[object, ...]]:
    bound = np.broadcast_to(comparison.bound, comparison.measured.shape)
    # An infinite loss stays below no bound, not even an infinite one.
    with np.errstate(invalid="ignore"):
        slack = comparison.sign * (bound - comparison.measured)
    held = slack >= -np.asarray(comparison.rounding)  # False where it is NaN
    texts = {
        "bound": (bound, f"bound of {comparison.what}"),
        "slack": (slack, f"how far {comparison.what} is on the right side of its bound"),
        "held": (held, f"whether {comparison.what} kept to its bound, up to rounding"),
    }
    return {
        f"{name}_{part}": (
            "step",
            values,
            {"long_name": text, "units": "1", "reference": THEOREM_1},
        )
        for part, (values, text) in texts.items()
    }


def problem_of(trajectory: Trajectory, problem: Problem | None) -> Problem:
    """Return what a trajectory minimised.

    Parameters
    ----------
    trajectory : Trajectory
        Any.
    problem : Problem or None
        The user's argument; needed if the trajectory was opened from a file.

    Returns
    -------
    Problem
        That of the trajectory.

    Raises
    ------
    ValueError, TypeError
        If the trajectory has no problem and none is given, or another one.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(f"trajectory: expected a Trajectory, got {type(trajectory).__name__}")
    if problem is None:
        if trajectory.problem is None:
            raise ValueError(
                "problem: expected the problem of the trajectory, which is not saved in its file"
            )
        return trajectory.problem
    if not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a Problem, got {type(problem).__name__}")
    if json.dumps(problem.describe()) != trajectory.data.attrs["problem"]:
        raise ValueError(f"problem: expected the one of the trajectory, got {problem!r}")
    return problem


def _require_plain_descent(trajectory: Trajectory) -> None:
    method = trajectory.method
    plain = (
        isinstance(method, GradientDescent)
        and method.weight_decay == 0.0
        and method.batch_size is None
    )
    times = trajectory.data.coords.get("time")
    if not plain or times is None or not np.isfinite(times.values).all():
        raise ValueError(
            "trajectory: expected GradientDescent on full data without weight decay throughout, "
            f"got {method!r}: Theorem 1 does not apply because it is about that"
        )


def _excess_loss(measured: Measured) -> FloatArray:
    try:
        excess = measured.excess_loss()
    except NotRecorded as error:
        raise ValueError(f"trajectory: the loss is {error}") from None
    if np.isnan(excess[0]):
        raise ValueError("trajectory: expected a loss at step 0, where it is not recorded or NaN")
    return excess


def _certificate_of_start(
    measured: Measured, distance: SquaredDistance, widths: tuple[int, ...], excess: float
) -> Certificate:
    try:
        balancedness = float(measured.balancedness()[0])
    except NotRecorded:
        balancedness = math.nan
    found = assess(distance, widths, math.sqrt(2.0 * excess / distance.scale), balancedness)
    if math.isnan(found.contraction_rate):
        raise ValueError(f"trajectory: Theorem 1 does not apply because {'; '.join(found.reasons)}")
    return found


def _noise(trajectory: Trajectory, found: Certificate) -> float:
    """Return what rounding does to a chain of layers that keep to their bounds, relatively."""
    epsilon = float(np.finfo(trajectory.data.attrs["dtype"]).eps)
    return 4.0 * epsilon * (sum(found.widths) + len(found.widths))


def _loss_bounds(
    trajectory: Trajectory,
    distance: SquaredDistance,
    found: Certificate,
    excess: FloatArray,
    noise: float,
) -> Comparisons:
    steps = trajectory.data["step"].values
    shrunk = _log_contraction(trajectory, found)
    # The last record that has a loss, for each; the start for itself.
    known = np.where(np.isnan(excess), 0, np.arange(len(excess)))
    before = np.concatenate([[0], np.maximum.accumulate(known)[:-1]])

    def compare(since: NDArray[np.int64], what: str) -> _Comparison:
        bound = excess[since] * np.exp(shrunk - shrunk[since])
        # The residual W - Phi is rounded at every step, by up to this much.
        residual = 4.0 * found.target_norm * noise
        largest = np.sqrt(distance.scale) * np.sqrt(2.0 * excess[since])
        one = largest * residual + 0.5 * distance.scale * residual**2
        one += noise * abs(distance.smallest)
        return _Comparison(excess, bound, (1.0 + steps - steps[since]) * one, what)

    return {
        "loss": lambda: compare(np.zeros_like(before), "the excess loss, from step 0 on"),
        "contraction": lambda: compare(before, "the excess loss, from the record before"),
    }


def _norm_bounds(measured: Measured, found: Certificate, noise: float) -> Comparisons:
    layer, whole = found.layer_norm_bound, found.end_to_end_norm_bound
    return {
        "balance": lambda: _Comparison(
            measured.balancedness(),
            np.array(2.0 * found.balancedness_allowed),
            noise * layer**2,
            "the largest imbalance",
        ),
        "layer_norm": lambda: _Comparison(
            measured.layer_norms(), np.array(layer), noise * layer, "the largest layer norm"
        ),
        "end_to_end_norm": lambda: _Comparison(
            measured.largest_singular_values(), np.array(whole), noise * whole, "the norm of W"
        ),
        "smallest_singular_value": lambda: _Comparison(
            measured.smallest_singular_values(),
            np.array(found.deficiency_margin),
            noise * whole,
            "the smallest singular value of W",
            sign=-1.0,
        ),
    }


def _log_contraction(trajectory: Trajectory, found: Certificate) -> FloatArray:
    """Return the logarithm of the factor by which the theorem has the loss fall since step 0."""
    steps, times = trajectory.data["step"].values, trajectory.data["time"].values
    rate = _constant_rate(trajectory)
    if rate is not None and rate * found.contraction_rate < 1.0:
        constant: FloatArray = steps * math.log1p(-rate * found.contraction_rate)
        return constant
    varying: FloatArray = -found.contraction_rate * times
    return varying


def _constant_rate(trajectory: Trajectory) -> float | None:
    """Return the rate if it was the same throughout."""
    method = trajectory.method
    if not isinstance(method, GradientDescent) or not isinstance(method.learning_rate, float):
        return None
    rate = method.learning_rate
    steps, times = trajectory.data["step"].values, trajectory.data["time"].values
    # The times are sums of rates, right to a few units in the last place.
    return rate if np.allclose(times, rate * steps, rtol=1e-12, atol=0.0) else None


def _conditions(
    trajectory: Trajectory, distance: SquaredDistance, found: Certificate, noise: float
) -> tuple[list[str], list[str]]:
    """Return the conditions that fail, and those that are not known."""
    against, unknown = list(found.reasons), []
    if math.isnan(found.balancedness):
        unknown.append("balancedness: not recorded: record imbalance or weights")
    rate, certain = _largest_rate(trajectory)
    allowed = found.learning_rate_allowed
    # The margin is taken from the recorded loss, and rounded by this much, also through what is
    # subtracted from that; the rate is its power.
    lost = 2.0 * noise * abs(distance.smallest) / distance.scale
    gap = math.sqrt(2.0 * found.excess_loss / distance.scale)
    error = 16.0 * noise * found.target_norm + 4.0 * (math.sqrt(gap * gap + lost) - gap)
    rounding = error / found.deficiency_margin
    if rate > allowed * (1.0 + rounding):
        against.append(
            f"learning_rate: expected at most {allowed:.6g}, got {rate:.6g}, "
            f"{rate / allowed:.3g} times that"
        )
    elif not certain:
        unknown.append("learning_rate: it varies, and the steps between records are not known")
    return against, unknown


def _largest_rate(trajectory: Trajectory) -> tuple[float, bool]:
    """Return a rate that was reached, and whether none was larger."""
    rate = _constant_rate(trajectory)
    if rate is not None:
        return rate, True
    steps, times = trajectory.data["step"].values, trajectory.data["time"].values
    means = np.diff(times) / np.diff(steps)
    return float(np.max(means, initial=0.0)), bool(np.all(np.diff(steps) == 1))
