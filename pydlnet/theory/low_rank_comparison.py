"""The singular values of a run beside those that theory predicts for it."""

from typing import Any

import numpy as np
import xarray as xr

from .._validation import FloatArray, as_real
from ..modes import track_modes
from ..trajectory import Trajectory
from .low_rank import relative_imbalance, value_velocity

__all__ = ["compare_singular_values"]

_THEOREM_3 = "Arora, Cohen, Hu & Luo 2019, Theorem 3, arXiv:1905.13655"


def compare_singular_values(
    trajectory: Trajectory, *, balance_tolerance: float = 1e-2
) -> xr.Dataset:
    """Set the singular values of a run beside the velocities that theory gives them.

    Parameters
    ----------
    trajectory : Trajectory
        Of a method that approximates gradient flow, on the full data; it must have recorded
        `singular_values` and `alignment`. If it has recorded `singular_vectors` too, modes are
        followed through crossings by `metrics.track_modes` first.
    balance_tolerance : float, default 1e-2
        Imbalance of the final layers up to which the theorem is taken to apply, as a share of
        the largest squared norm of a layer.

    Returns
    -------
    Dataset
        The data of the run with three more variables over step and mode:
        `singular_value_velocity`, that of Theorem 3; `predicted_singular_value`, the value at the
        record before, moved on to this one; and `singular_value_gap`, by how much the recorded
        value is larger. NaN at the first record, and next to undefined records. The attribute
        `relative_imbalance` has what was compared with the tolerance.

    Raises
    ------
    ValueError, TypeError
        If the theorem does not apply (no time of gradient flow, mini-batches, layers that are not
        balanced), something was not recorded, or an argument is not as above.

    Notes
    -----
    Theorem 3 of [1]_ reads dq/dt = -(a + lambda s) for q = s at depth 1, -2 (a + lambda) for
    q = ln s at depth 2, and (N-2) (a + lambda q) for q = s^(2/N-1) beyond, with
    a = u_r^T G v_r. The prediction takes the mean of both ends for the rate of q in between: it is
    exact over any time in which the rate is constant, such as a plateau, and has an error of
    second order in the distance of the records otherwise; to this comes the distance of the
    method from the flow. NaN where the prediction leaves the range of q.

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655
    """
    allowed = as_real(balance_tolerance, "balance_tolerance", minimum=0.0)
    if not isinstance(trajectory, Trajectory):
        raise TypeError(f"trajectory: expected a Trajectory, got {type(trajectory).__name__}")
    imbalance = _check_applies(trajectory, allowed)
    data = trajectory.data
    if "left_singular_vector" in data:
        data = track_modes(data)
    values, alignment = data["singular_value"].values, data["alignment"].values
    depth, decay = len(trajectory.weights), trajectory.method.weight_decay
    predicted = _moved_on(values, alignment, data["time"].values, depth, decay)
    return data.assign(
        singular_value_velocity=_labelled(
            value_velocity(values, alignment, depth, decay),
            "time derivative of the singular values under gradient flow from balanced layers",
        ),
        predicted_singular_value=_labelled(
            predicted, "singular value at the record before, moved on by its velocity"
        ),
        singular_value_gap=_labelled(
            values - predicted, "singular value minus predicted singular value"
        ),
    ).assign_attrs(relative_imbalance=imbalance)


def _labelled(array: FloatArray, long_name: str) -> tuple[Any, ...]:
    attributes = {"long_name": long_name, "units": "1", "reference": _THEOREM_3}
    return (("step", "mode"), array, attributes)


def _check_applies(trajectory: Trajectory, allowed: float) -> float:
    """Return the relative imbalance; raise unless the theorem applies."""
    method, imbalance = trajectory.method, relative_imbalance(trajectory.weights)
    for name, quantity in [("singular_value", "singular_values"), ("alignment", "alignment")]:
        if name not in trajectory.data:
            raise ValueError(f"trajectory: expected the recorded quantity {quantity!r}, got none")
    why = None
    if "time" not in trajectory.data.coords:
        why = f"{type(method).__name__} has no time of gradient flow"
    elif method.batch_size is not None:
        why = f"batch_size={method.batch_size} makes the gradients random"
    elif imbalance > allowed:
        why = f"the layers are not balanced ({imbalance:.3g} > balance_tolerance = {allowed:g})"
    if why:
        raise ValueError(f"trajectory: Theorem 3 does not apply because {why}")
    return imbalance


def _moved_on(
    values: FloatArray, alignment: FloatArray, times: FloatArray, depth: int, decay: float
) -> FloatArray:
    """Return the values of each record moved on to the next one, in the coordinate q."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if depth == 1:
            position, rate = values, -alignment - decay * values
        elif depth == 2:
            position, rate = np.log(values), -2.0 * (alignment + decay)
        else:
            position = values ** (2.0 / depth - 1.0)
            # A mode at zero has q = inf: no decay must not become 0 * inf there.
            rate = (depth - 2.0) * (alignment + (decay * position if decay else 0.0))
        moved = np.full_like(position, np.nan)
        means = (rate[1:] + rate[:-1]) / 2.0
        moved[1:] = position[:-1] + means * np.diff(times)[:, np.newaxis]
        if depth == 2:
            return np.exp(moved)
        moved[moved < 0.0] = np.nan
        if depth == 1:
            return moved
        back: FloatArray = moved ** (depth / (2.0 - depth))
        return back
