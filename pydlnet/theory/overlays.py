"""The curves that theory predicts for a run, beside what the run has recorded."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import _core, metrics
from .._validation import FloatArray, as_real, hint
from ..methods import EndToEndDescent, GradientDescent, Method
from ..problems import Problem
from ..trajectory import Trajectory
from .checks import check, problem_of
from .end_to_end import direction
from .end_to_end_comparison import (
    check_applies,
    compare_end_to_end,
    depth_of,
    recorded_end_to_end,
    start_imbalance,
)
from .modes import mode_strength
from .squared_distance import SquaredDistance, as_squared_distance

__all__ = ["overlay"]

_SAXE = "Saxe, McClelland & Ganguli 2014, arXiv:1312.6120"
_LIMIT = "Cohen, Menon & Veraszto 2023, arXiv:2210.12497"

# Weight of the start beside the target where the vectors of both are looked for: any number that
# does not make modes alike that are not.
_WEIGHT = 0.6180339887498949

# What a prediction adds to the data: variables, and attributes.
Curves = tuple[dict[str, Any], dict[str, Any]]


def overlay(
    trajectory: Trajectory,
    problem: Problem | None = None,
    *,
    predictions: Sequence[str] | None = None,
    balance_tolerance: float = 1e-2,
    alignment_tolerance: float = 1e-3,
) -> xr.Dataset:
    """Add the curves that theory predicts for a run to its data, each with its error.

    Parameters
    ----------
    trajectory : Trajectory
        Any. What it has recorded decides what can be compared.
    problem : Problem, optional
        What the trajectory minimised; needed if it was opened from a file.
    predictions : sequence of str, optional
        Which of "certificate", "modes", "infinite_depth" and "end_to_end_rule"; all if not given.
    balance_tolerance : float, default 1e-2
        Imbalance of the layers up to which they are taken to be balanced, which all predictions
        but the certificate assume, as a share of the largest squared norm of a layer at the start:
        from `weights` if they were recorded, else from the final layers, whose imbalance is a
        share of ||W(0)||_F^(2/N).
    alignment_tolerance : float, default 1e-3
        Share of W(0) and of the target, in norm, that may lie outside of common singular vectors.

    Returns
    -------
    Dataset
        The data of the run and, for each prediction that applies:

        - "certificate": `certificate_loss`, the bound of Theorem 1 of [1]_ on the loss, and
          `certificate_slack`, by how much the loss is below it;
        - "modes": `mode_strength` over step and mode, the singular values of W under gradient flow
          from balanced layers aligned with the target [2]_, in descending order, `mode_loss`, the
          loss that they make, and `mode_strength_error` and `mode_loss_error`, what was recorded
          minus these;
        - "infinite_depth": likewise `infinite_depth_strength`, `infinite_depth_loss` and their
          errors, in the limit of many layers [3]_, at times N t;
        - "end_to_end_rule": what `compare_end_to_end` adds.

        The attribute `applies` is a JSON list of these predictions, and `does_not_apply` a JSON
        object with the reason for each of the others, such as what to record.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or the problem is unknown or another one. A prediction
        that does not apply raises nothing.

    Notes
    -----
    Errors hold what gradient descent differs from gradient flow by, which is proportional to the
    rate, and for the limit of infinite depth what N layers differ from many by.

    From learning rates of 2 / sharpness of the modes on, steps do not follow gradient flow near the
    target, and its modes do not apply. `compare_end_to_end` sets the rule beside runs from any
    start, balanced or not.

    "end_to_end_rule" takes as many steps as the run did, each with a singular value decomposition.

    A trajectory knows its last problem and method only: one that went on with another problem,
    depth or weight decay, or without its mini-batches, is taken to have been so all the time.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019. arXiv:1810.02281
    .. [2] A. Saxe, J. McClelland and S. Ganguli, ICLR 2014. arXiv:1312.6120
    .. [3] N. Cohen, G. Menon and Z. Veraszto, SIAM J. Appl. Dyn. Syst., 2023. arXiv:2210.12497

    Examples
    --------
    >>> import json
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> target = np.diag([3.0, 1.0])
    >>> trajectory = dln.run(
    ...     dln.TargetMatrix(target),
    ...     dln.init.balanced_from(1e-3 * target, (2, 2, 2)),
    ...     dln.GradientDescent(1e-3),
    ...     n_steps=5000,
    ...     record=dln.Record(["loss", "singular_values", "end_to_end"]),
    ... )
    >>> data = dln.theory.overlay(trajectory)
    >>> data.attrs["applies"], bool(abs(data.mode_strength_error).max() < 0.02)
    ('["modes", "infinite_depth", "end_to_end_rule"]', True)
    >>> list(json.loads(data.attrs["does_not_apply"]))
    ['certificate']
    """
    run = _Run(
        trajectory,
        problem_of(trajectory, problem),
        as_real(balance_tolerance, "balance_tolerance", minimum=0.0),
        as_real(alignment_tolerance, "alignment_tolerance", minimum=0.0),
    )
    curves, attributes = {}, {}
    applies, reasons = [], {}
    for name in _as_predictions(predictions):
        try:
            variables, more = _PREDICTIONS[name](run)
        except ValueError as error:  # which is how all of them say that they do not apply
            reasons[name] = str(error)
        else:
            applies.append(name)
            curves.update(variables)
            attributes.update(more)
    attributes.update(applies=json.dumps(applies), does_not_apply=json.dumps(reasons))
    return trajectory.data.assign(curves).assign_attrs(attributes)


@dataclass(frozen=True)
class _Run:
    """A trajectory and the arguments it is looked at with."""

    trajectory: Trajectory
    problem: Problem
    balance_tolerance: float
    alignment_tolerance: float

    @property
    def data(self) -> xr.Dataset:
        return self.trajectory.data


def _as_predictions(predictions: Sequence[str] | None) -> list[str]:
    if predictions is None:
        return list(_PREDICTIONS)
    if isinstance(predictions, str) or not isinstance(predictions, Sequence):
        raise TypeError(f"predictions: expected a sequence of names, got {predictions!r}")
    for name in predictions:
        if name not in _PREDICTIONS:
            raise ValueError(
                f"predictions: expected names among {', '.join(_PREDICTIONS)}, got {name!r}"
                f"{hint(str(name), _PREDICTIONS)}"
            )
    return list(dict.fromkeys(predictions))


def _labelled(array: FloatArray, long_name: str, reference: str, *dims: str) -> tuple[Any, ...]:
    attributes = {"long_name": long_name, "units": "1", "reference": reference}
    return (("step", *dims), array, attributes)


# -- The certificate --


def _certificate(run: _Run) -> Curves:
    found = check(run.trajectory, run.problem)
    if found.attrs["guaranteed"] == "no":
        raise ValueError(found.attrs["does_not_apply_because"])
    if found.attrs["guaranteed"] == "unknown":
        raise ValueError(found.attrs["not_known"])
    reference = found.attrs["reference"]
    smallest = as_squared_distance(run.problem).smallest
    bound, slack = found["loss_bound"].values + smallest, found["loss_slack"].values
    return {
        "certificate_loss": _labelled(bound, "bound of the certificate on the loss", reference),
        "certificate_slack": _labelled(
            slack, "bound of the certificate on the loss minus the loss", reference
        ),
    }, {}


# -- Modes --


def _modes(run: _Run) -> Curves:
    return _mode_curves(run, depth_of(run.trajectory), "mode", _SAXE)


def _infinite_depth(run: _Run) -> Curves:
    if depth_of(run.trajectory) == 1:
        raise ValueError("a network of depth 1 has no balanced layers, of which this is the limit")
    return _mode_curves(run, math.inf, "infinite_depth", _LIMIT)


def _mode_curves(run: _Run, depth: float, name: str, reference: str) -> Curves:
    """Return strengths and loss of modes of this depth, and what was recorded minus these."""
    distance = as_squared_distance(run.problem)
    _require_flow(run)
    targets, starts, misalignment = _aligned(run, distance)
    times = distance.scale * run.data["time"].values
    if depth == math.inf:
        times = depth_of(run.trajectory) * times
    modes = mode_strength(times, targets, starts, depth)
    _require_stable_rate(run, modes, distance.scale, depth_of(run.trajectory))
    strengths = -np.sort(-np.abs(modes), axis=1)
    with np.errstate(over="ignore"):  # far from a target the loss is infinite
        squares = np.sum((modes - targets) ** 2, axis=1)
        loss = 0.5 * distance.scale * squares + distance.smallest
    what = "under gradient flow from aligned balanced layers"
    what += " in the limit of many layers" if depth == math.inf else ""
    variables = {
        f"{name}_strength": _labelled(strengths, f"singular values of W {what}", reference, "mode"),
        f"{name}_loss": _labelled(loss, f"loss {what}", reference),
    }
    errors: dict[str, tuple[Any, ...]] = {
        f"{name}_strength_error": (_singular_values(run) - strengths, "mode")
    }
    if "loss" in run.data:
        with np.errstate(invalid="ignore"):  # of infinite losses
            errors[f"{name}_loss_error"] = (run.data["loss"].values - loss,)
    for of, (error, *dims) in errors.items():
        kind = "singular values" if dims else "loss"
        long_name = f"recorded {kind} minus {kind} {what}"
        finite = np.where(np.isfinite(error), error, np.nan)
        variables[of] = _labelled(finite, long_name, reference, *dims)
    return variables, {"mode_misalignment": misalignment}


def _require_flow(run: _Run) -> None:
    """Raise unless the run follows gradient flow without decay from balanced layers."""
    method, times = run.trajectory.method, run.data.coords.get("time")
    if times is None or not np.isfinite(times.values).all():
        raise ValueError(f"{type(method).__name__} has no time of gradient flow")
    if isinstance(method, Method) and method.batch_size is not None:
        raise ValueError(f"batch_size={method.batch_size} makes the gradients random")
    if method.weight_decay != 0.0:
        raise ValueError(f"weight_decay={method.weight_decay:g}: the solutions are without")
    _require_balance(run)


def _require_balance(run: _Run) -> None:
    """Raise unless the layers are balanced at the start."""
    imbalance, decay = start_imbalance(run.trajectory), run.trajectory.method.weight_decay
    known = "W1" in run.data
    if decay and not known and imbalance > 0.0:
        # Which shrinks the imbalance by exp(-2 decay time); recorded first layers need no guess.
        with np.errstate(over="ignore"):
            imbalance *= float(np.exp(2.0 * decay * run.data["time"].values[-1]))
    if not imbalance <= run.balance_tolerance:
        how = (
            "" if known else "at most, as far as the final layers tell: record 'weights' to know; "
        )
        raise ValueError(
            f"the layers are not balanced ({how}{imbalance:.3g} > balance_tolerance = "
            f"{run.balance_tolerance:g})"
        )


def _require_stable_rate(run: _Run, modes: FloatArray, scale: float, depth: int) -> None:
    """Raise if steps are too large to follow the flow near the target.

    There the Hessian of balanced modes of strength u has the eigenvalue scale N u^(2-2/N). The
    rates of GroupRMSprop are left to it: they grow to this limit where the loss is at its smallest.
    """
    if not isinstance(run.trajectory.method, GradientDescent | EndToEndDescent):
        return
    steps, times = run.data["step"].values, run.data["time"].values
    rates = np.diff(times) / np.diff(steps)
    with np.errstate(over="ignore"):
        curvature = scale * depth * np.max(np.abs(modes), axis=1) ** (2.0 - 2.0 / depth)
        worst = int(np.argmax(rates * curvature[1:])) if len(rates) else -1
    if worst >= 0 and not rates[worst] * curvature[worst + 1] < 2.0:
        raise ValueError(
            f"the learning rate {rates[worst]:.3g} is not below {2.0 / curvature[worst + 1]:.3g}, "
            "2 / sharpness of the modes: such steps do not follow gradient flow"
        )


def _aligned(run: _Run, distance: SquaredDistance) -> tuple[FloatArray, FloatArray, float]:
    """Return strengths of target and start along common vectors, and the share outside of them."""
    start, target = recorded_end_to_end(run.trajectory)[0], distance.target
    (target_size, of_target), (start_size, of_start) = direction(target), direction(start)
    scaled = [of_target, of_start]
    left, _, right = _core.svd(np.ascontiguousarray(scaled[0] + _WEIGHT * scaled[1]))
    along = [np.einsum("ir,ij,jr->r", left, matrix, right) for matrix in scaled]
    outside = max(
        float(np.linalg.norm(matrix - (left * strengths) @ right.T))
        for matrix, strengths in zip(scaled, along, strict=True)
    )
    if not outside <= run.alignment_tolerance:
        raise ValueError(
            "W(0) and the target have no common singular vectors: a share of "
            f"{outside:.3g} is outside of any (alignment_tolerance = {run.alignment_tolerance:g})"
        )
    return target_size * along[0], start_size * along[1], outside


def _singular_values(run: _Run) -> FloatArray:
    if "singular_value" in run.data:
        return np.asarray(run.data["singular_value"].values, dtype=np.float64)
    matrices = recorded_end_to_end(run.trajectory)
    k = min(matrices.shape[1:])
    return np.array(
        [
            metrics.singular_values(matrix) if np.isfinite(matrix).all() else np.full(k, np.nan)
            for matrix in matrices
        ]
    )


# -- The end-to-end rule --


def _end_to_end_rule(run: _Run) -> Curves:
    check_applies(run.trajectory)
    _require_balance(run)
    compared = compare_end_to_end(run.trajectory, run.problem)
    names = [name for name in compared.data_vars if name not in run.data]
    variables = {str(name): compared[name].variable for name in names}
    return variables, {"relative_imbalance": compared.attrs["relative_imbalance"]}


_PREDICTIONS: dict[str, Callable[[_Run], Curves]] = {
    "certificate": _certificate,
    "modes": _modes,
    "infinite_depth": _infinite_depth,
    "end_to_end_rule": _end_to_end_rule,
}
