"""The end-to-end matrix of a run beside the curve that the end-to-end rule gives it."""

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .. import chain
from .._validation import FloatArray
from ..interruption import latest_run_heard_ctrl_c
from ..methods import EndToEndDescent, GradientDescent
from ..problems import Problem
from ..recording import Record
from ..simulate import run
from ..trajectory import Trajectory
from .checks import problem_of
from .end_to_end import direction
from .low_rank import relative_imbalance

__all__ = [
    "check_applies",
    "compare_end_to_end",
    "depth_of",
    "recorded_end_to_end",
    "start_imbalance",
]

_THEOREM_1 = "Arora, Cohen & Hazan 2018, Theorem 1, arXiv:1802.06509"


def compare_end_to_end(trajectory: Trajectory, problem: Problem | None = None) -> xr.Dataset:
    """Set the end-to-end matrix of a run beside the end-to-end rule from the same start.

    Parameters
    ----------
    trajectory : Trajectory
        Of `GradientDescent` on full data; it must have recorded `end_to_end`, or `weights`.
    problem : Problem, optional
        What the trajectory minimised; needed if it was opened from a file.

    Returns
    -------
    Dataset
        The data of the run with more variables over step: `rule_loss` and `rule_end_to_end` of
        `EndToEndDescent` with the same rates and weight decay from the same W(0);
        `end_to_end_gap`, ||W - W_rule||_F / ||W||_F; and, where the loss was recorded,
        `rule_loss_gap`, the loss minus that of the rule. NaN where a matrix is not recorded or not
        finite, and once the rule has diverged. The attribute `relative_imbalance` has the largest
        imbalance of neighbouring layers as a share of the largest squared norm of a layer at the
        start: from `weights` if they were recorded, else, without weight decay, at most that, from
        the final layers.

    Raises
    ------
    ValueError, TypeError
        If the rule does not apply (another method, mini-batches, rates that changed on the way),
        something was not recorded, or an argument is not as above.
    KeyboardInterrupt
        If the rule was interrupted.

    Notes
    -----
    Theorem 1 of [1]_: gradient flow from balanced layers moves W by the rule, and a step of
    gradient descent by the rule up to a multiple of rate^2, so that over equal times the gap is
    proportional to the rate. It is reported for any start: from layers that are not balanced it
    does not vanish with the rate, and `relative_imbalance` says how far from balanced they are.

    The rule takes as many steps as the run, each with a singular value decomposition of W. A
    trajectory knows its last problem and method only: one that went on with another problem or
    weight decay is taken to have had these all the time.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> trajectory = dln.run(
    ...     dln.TargetMatrix(np.diag([3.0, 1.0])),
    ...     dln.init.balanced([2, 2, 2], scale=0.5, rng=0),
    ...     dln.GradientDescent(1e-3),
    ...     n_steps=1000,
    ...     record=dln.Record(["loss", "end_to_end"], every=100),
    ... )
    >>> bool(dln.theory.compare_end_to_end(trajectory).end_to_end_gap.max() < 5e-3)
    True
    """
    minimised = problem_of(trajectory, problem)
    method = check_applies(trajectory)
    data, matrices = trajectory.data, recorded_end_to_end(trajectory)
    rule = _rule(trajectory, method, minimised, matrices[0])
    on_curve = rule["end_to_end"].values
    return data.assign(
        {
            "rule_loss": _labelled(rule["loss"].values, "loss on the curve of the end-to-end rule"),
            "rule_end_to_end": _labelled(
                on_curve, "W on the curve of the end-to-end rule", "output", "input"
            ),
            "end_to_end_gap": _labelled(
                _gaps(matrices, on_curve), "||W - W_rule||_F / ||W||_F, W_rule being on the curve"
            ),
            **_loss_gap(data, rule["loss"].values),
        }
    ).assign_attrs(relative_imbalance=start_imbalance(trajectory))


def _labelled(array: NDArray[Any], long_name: str, *dims: str) -> tuple[Any, ...]:
    attributes = {"long_name": long_name, "units": "1", "reference": _THEOREM_1}
    return (("step", *dims), array, attributes)


def depth_of(trajectory: Trajectory) -> int:
    """Return the number of layers of a run, or that which its one matrix stands for."""
    method = trajectory.method
    return method.depth if isinstance(method, EndToEndDescent) else len(trajectory.weights)


def _recorded_layers(trajectory: Trajectory) -> list[FloatArray]:
    """Return the recorded layers, each over step; none if they were not recorded."""
    names = [f"W{j}" for j in range(1, len(trajectory.weights) + 1)]
    if names[0] not in trajectory.data:
        return []
    return [np.asarray(trajectory.data[name].values, dtype=np.float64) for name in names]


def recorded_end_to_end(trajectory: Trajectory) -> FloatArray:
    """Return W at every record, (step, d_N, d_0), NaN where it was not recorded.

    Parameters
    ----------
    trajectory : Trajectory
        That has recorded `end_to_end` or `weights`.

    Returns
    -------
    ndarray of float64
        Finite at step 0.

    Raises
    ------
    ValueError
        If neither was recorded, or neither at step 0.
    """
    layers = _recorded_layers(trajectory)
    if "end_to_end" in trajectory.data:
        matrices = np.asarray(trajectory.data["end_to_end"].values, dtype=np.float64)
    elif layers:
        matrices = np.array([_product(record) for record in zip(*layers, strict=True)])
    else:
        raise ValueError("trajectory: record 'end_to_end' (or 'weights'), which it lacks")
    if not np.isfinite(matrices[0]).all():
        raise ValueError("trajectory: record 'end_to_end' from step 0 on, where it is not recorded")
    return matrices


def _product(layers: tuple[FloatArray, ...]) -> FloatArray:
    if all(np.isfinite(layer).all() for layer in layers):
        product: FloatArray = chain.product(layers)
        return product
    return np.full((len(layers[-1]), layers[0].shape[1]), np.nan)


def start_imbalance(trajectory: Trajectory) -> float:
    """Return the relative imbalance of the start, or what it can have been at most.

    Parameters
    ----------
    trajectory : Trajectory
        That has recorded `end_to_end` or `weights`.

    Returns
    -------
    float
        At least 0; NaN for layers that are not finite. Where the first layers are not known, the
        imbalance of the final ones as a share of ||W(0)||_F^(2/N), or of their own largest squared
        norm if that is less: layers that grow hide how unlike they were.

    Raises
    ------
    ValueError
        If neither was recorded, or neither at step 0.

    Notes
    -----
    Gradient flow keeps the imbalance, and as ||W||_F is at most the product of the ||W_j||_F, the
    largest ||W_j||_F^2 of the start is at least ||W(0)||_F^(2/N).
    """
    first = [layers[0] for layers in _recorded_layers(trajectory)]
    if first and all(np.isfinite(layer).all() for layer in first):
        return relative_imbalance(first)
    final = trajectory.weights
    share = relative_imbalance(final)
    if not share > 0.0:
        return share
    size, _ = direction(recorded_end_to_end(trajectory)[0])
    largest = max(direction(layer.astype(np.float64))[0] for layer in final)
    root = size ** (1.0 / len(final))
    growth = max(1.0, largest / root) if root > 0.0 else math.inf
    return share * growth * growth  # not a power, which would raise where a product is infinite


def check_applies(trajectory: Trajectory) -> GradientDescent:
    """Return the method of a run, or raise ValueError if there is no end-to-end rule for it."""
    method = trajectory.method
    if not isinstance(method, GradientDescent):
        raise _does_not_apply(f"{type(method).__name__} is not GradientDescent")
    if method.batch_size is not None:
        raise _does_not_apply(f"batch_size={method.batch_size} makes the gradients random")
    return method


def _does_not_apply(why: str) -> ValueError:
    return ValueError(f"trajectory: the end-to-end rule does not apply because {why}")


def _rule(
    trajectory: Trajectory, method: GradientDescent, problem: Problem, start: FloatArray
) -> xr.Dataset:
    """Return the rule's losses and matrices at the steps of a run, NaN from its divergence on."""
    steps, times = trajectory.data["step"].values, trajectory.data["time"].values
    curve = run(
        problem,
        [start],
        EndToEndDescent(method.learning_rate, depth_of(trajectory), method.weight_decay),
        n_steps=int(steps[-1]),
        record=Record(["loss", "end_to_end"], steps=steps),
        progress=False,
    )
    if curve.status == "interrupted" or latest_run_heard_ctrl_c():
        raise KeyboardInterrupt
    # The last record of a rule that has diverged may be off the steps of the run.
    rule = curve.data.reindex(step=steps)
    own = rule["time"].values
    agree = np.isclose(own, times, rtol=1e-9, atol=0.0) | np.isnan(own)
    if not agree.all():
        raise ValueError(
            "trajectory: expected the rates of its method throughout: the end-to-end rule does not "
            f"apply because its time at step {steps[~agree][0]} is {times[~agree][0]:.6g}, and the "
            f"sum of these rates {own[~agree][0]:.6g}"
        )
    return rule


def _gaps(matrices: FloatArray, on_curve: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):  # of runs that diverged
        distances = np.linalg.norm(matrices - on_curve, axis=(1, 2))
        sizes = np.linalg.norm(matrices, axis=(1, 2))
        gaps = np.where(distances == 0.0, 0.0, distances / sizes)
    return np.where(np.isfinite(gaps), gaps, np.nan)


def _loss_gap(data: xr.Dataset, on_curve: FloatArray) -> dict[str, tuple[Any, ...]]:
    if "loss" not in data:
        return {}
    with np.errstate(all="ignore"):
        gap = data["loss"].values - on_curve
    gap = np.where(np.isfinite(gap), gap, np.nan)
    return {"rule_loss_gap": _labelled(gap, "loss minus loss on the curve of the end-to-end rule")}
