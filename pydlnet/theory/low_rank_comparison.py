"""The singular values of a run beside those that theory predicts for it."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import FloatArray, as_real
from ..methods import Method
from ..modes import track_modes
from ..trajectory import Trajectory
from .end_to_end_comparison import depth_of
from .low_rank import relative_imbalance, value_velocity

__all__ = ["compare_singular_values"]

# Share of the largest singular value: values closer together than that count as equal.
_EQUAL = 1e-12

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
        followed through crossings by `metrics.track_modes` first; if `imbalance`, every record's is
        checked.
    balance_tolerance : float, default 1e-2
        Imbalance up to which the theorem is taken to apply, as a share of the largest squared norm
        of a layer, and before the last record of sum_r s_r^(2/N), which that is for balanced
        layers, and at least.

    Returns
    -------
    Dataset
        The data of the run with three more variables over step and mode:
        `singular_value_velocity`, that of Theorem 3; `predicted_singular_value`, the value at the
        record before, moved on to this one; and `singular_value_gap`, by how much the recorded
        value is larger. NaN at the first record, next to undefined records, and where values are
        equal, as the recorded alignment belongs to vectors that the flow need not leave along
        (`singular_velocities` has these). The attribute `relative_imbalance` has that of the final
        layers; `not_known` says so if those before were not recorded. Descent from a small or
        unbalanced start can end far more balanced than it was.

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

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record(["singular_values", "alignment"], every=10)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(1e-3), n_steps=5000, record=record)
    >>> compared = dln.theory.compare_singular_values(trajectory)
    >>> bool(abs(compared.singular_value_gap).max() < 0.01)
    True
    """
    allowed = as_real(balance_tolerance, "balance_tolerance", minimum=0.0)
    if not isinstance(trajectory, Trajectory):
        raise TypeError(f"trajectory: expected a Trajectory, got {type(trajectory).__name__}")
    imbalance = _check_applies(trajectory, allowed)
    data = trajectory.data
    if "left_singular_vector" in data:
        data = track_modes(data)
    values, alignment = data["singular_value"].values, data["alignment"].values
    method = trajectory.method
    depth = depth_of(trajectory)
    alignment = np.where(_undetermined(values, depth), np.nan, alignment)
    predicted = _moved_on(values, alignment, data["time"].values, depth, method.weight_decay)
    return data.assign(
        singular_value_velocity=_labelled(
            value_velocity(values, alignment, depth, method.weight_decay),
            "time derivative of the singular values under gradient flow from balanced layers",
        ),
        predicted_singular_value=_labelled(
            predicted, "singular value at the record before, moved on by its velocity"
        ),
        singular_value_gap=_labelled(
            values - predicted, "singular value minus predicted singular value"
        ),
    ).assign_attrs(
        relative_imbalance=imbalance,
        not_known=""
        if len(trajectory.weights) == 1 or "imbalance" in data
        else "balancedness before the last record: not recorded: record imbalance",
    )


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
    elif isinstance(method, Method) and method.batch_size is not None:
        why = f"batch_size={method.batch_size} makes the gradients random"
    elif imbalance > allowed:
        why = f"the layers are not balanced ({imbalance:.3g} > balance_tolerance = {allowed:g})"
    else:
        why = _against_balance_before(trajectory, allowed)
    if why:
        raise ValueError(f"trajectory: Theorem 3 does not apply because {why}")
    return imbalance


def _against_balance_before(trajectory: Trajectory, allowed: float) -> str | None:
    """Return which record was not balanced, if imbalances are recorded."""
    data, depth = trajectory.data, len(trajectory.weights)
    if "imbalance" not in data or depth == 1:
        return None
    largest = np.max(data["imbalance"].values.astype(np.float64), axis=1)
    # At most the largest squared norm of a layer (Horn, then Hoelder), and that of balanced ones.
    norm = np.sum(data["singular_value"].values.astype(np.float64) ** (2.0 / depth), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(largest == 0.0, 0.0, largest / norm)
    outside = np.flatnonzero(share > allowed)  # not NaN, of a diverged run
    if not outside.size:
        return None
    step = data["step"].values[outside[0]]
    return (
        f"the layers were not balanced at step {step} ({share[outside[0]]:.3g} > "
        f"balance_tolerance = {allowed:g})"
    )


def _undetermined(values: FloatArray, depth: int) -> NDArray[np.bool_]:
    """Return which values are equal to others of their record, so that W leaves vectors open."""
    with np.errstate(invalid="ignore"):
        distances = np.abs(values[:, :, np.newaxis] - values[:, np.newaxis, :])
        nothing = _EQUAL * np.max(values, axis=1)[:, np.newaxis, np.newaxis]
        equal: NDArray[np.bool_] = np.sum(distances <= nothing, axis=2) > 1
    # Zero stays zero at depth 2 and more, whatever the vectors are.
    return equal & (values > 0.0) if depth > 1 else equal | (values == 0.0)


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
