"""How singular values and singular vectors move along gradient flow (implicit low-rank bias).

Under gradient flow from balanced layers the end-to-end matrix W = sum_r s_r u_r v_r^T moves by

    dW/dt = -lambda N W - sum_j [W W^T]^((j-1)/N) G [W^T W]^((N-j)/N),    G = grad l(W),

which depends on W, G, the depth N and the weight decay lambda alone. Written in the singular
vectors this gives the velocities here.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core, chain, metrics
from .._display import Shown
from .._validation import FloatArray, as_array, as_count, as_matrix, as_real, as_weights, freeze
from ..problems import Problem
from ._arguments import as_gradient

__all__ = [
    "SingularVelocities",
    "singular_value_velocity",
    "singular_velocities",
]


def singular_value_velocity(
    singular_values: ArrayLike,
    alignment: ArrayLike,
    depth: int,
    *,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Return how fast singular values move under gradient flow from balanced layers.

    Parameters
    ----------
    singular_values : array_like
        s_r >= 0, such as the recorded `singular_value`; NaN stays NaN.
    alignment : array_like, of the same shape
        u_r^T G v_r, such as the recorded `alignment`.
    depth : int
        N, at least 1.
    weight_decay : float, default 0
        lambda, at least 0.

    Returns
    -------
    ndarray, of the same shape
        -lambda N s_r - N s_r^(2 - 2/N) u_r^T G v_r.

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, a singular value is negative, or an argument is not as above.

    Notes
    -----
    Theorem 3 of [1]_; the decay as in Theorem 1 of [2]_. At depth 1 all modes move alike; at depth
    2 the relative velocity of a mode does not depend on its size; from depth 3 on small modes
    are slower even in relation to their size. For equal singular values the formula holds in
    the vectors that `singular_velocities` chooses, not in any that a decomposition returns.

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655
    .. [2] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.singular_value_velocity([1.0, 0.01], [-1.0, -1.0], depth=2)
    array([2.  , 0.02])
    """
    values = as_array(singular_values, "singular_values", finite=False)
    overlap = as_array(alignment, "alignment", shape=values.shape, finite=False)
    if np.any(values < 0.0):
        raise ValueError(f"singular_values: expected numbers >= 0, got {np.nanmin(values)}")
    n_layers = as_count(depth, "depth", 1)
    decay = as_real(weight_decay, "weight_decay", minimum=0.0)
    return value_velocity(values, overlap, n_layers, decay)


def value_velocity(values: FloatArray, overlap: FloatArray, depth: int, decay: float) -> FloatArray:
    """Return the velocities of checked values."""
    # Factor by factor: s^(2 - 2/N) by itself leaves the range before the product does.
    pull = overlap if depth == 1 else values * (values ** (1.0 - 2.0 / depth) * overlap)
    velocity: FloatArray = -depth * (pull + decay * values)
    return velocity


@dataclass(frozen=True, eq=False, repr=False)
class SingularVelocities(Shown):
    """Singular values and vectors of an end-to-end matrix, and how they move.

    Attributes
    ----------
    singular_values : ndarray, shape (k,)
        Descending, k = min(d_N, d_0).
    left, right : ndarray, shape (d_N, k) and (d_0, k)
        Singular vectors. Among equal singular values they are those that the flow separates:
        U^T G V + (U^T G V)^T is diagonal there.
    alignment : ndarray, shape (k,)
        u_r^T G v_r in these vectors.
    value_velocity : ndarray, shape (k,)
        Time derivative of the singular values in descending order; from the right where some
        are equal or zero.
    left_velocity, right_velocity : ndarray, shape (d_N, k) and (d_0, k)
        Time derivatives of the singular vectors; NaN where they are not determined.
    determined : ndarray of bool, shape (k,)
        Whether W determines the vectors of the mode, up to a common sign, and the flow their
        velocity: the singular value is neither zero nor equal to another.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> moving = dln.theory.singular_velocities(np.diag([0.5, 0.1]), problem, depth=3)
    >>> moving.singular_values.round(9), moving.alignment.round(9)
    (array([0.5, 0.1]), array([-2.5, -0.9]))
    >>> bool(moving.value_velocity[0] > 10 * moving.value_velocity[1]), moving.determined
    (True, array([ True,  True]))
    """

    singular_values: FloatArray
    left: FloatArray = field(repr=False)
    right: FloatArray = field(repr=False)
    alignment: FloatArray
    value_velocity: FloatArray
    left_velocity: FloatArray = field(repr=False)
    right_velocity: FloatArray = field(repr=False)
    determined: NDArray[np.bool_]


def singular_velocities(
    weights: Sequence[ArrayLike] | ArrayLike,
    problem: Problem | ArrayLike,
    depth: int | None = None,
    *,
    weight_decay: float = 0.0,
    tolerance: float = 1e-12,
    balance_tolerance: float = 1e-6,
) -> SingularVelocities:
    """Return how singular values and vectors move under gradient flow from balanced layers.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1}); or array_like, shape (d_N, d_0)
        The layers; or, if `depth` is given, the end-to-end matrix W of balanced layers.
    problem : Problem or array_like, shape (d_N, d_0)
        What is minimised, or its gradient G at W.
    depth : int, optional
        N, at least 1, if `weights` is the end-to-end matrix.
    weight_decay : float, default 0
        lambda, at least 0. It moves no singular vector.
    tolerance : float, default 1e-12
        Share of the largest singular value, in [0, 1): what lies below counts as zero, what lies
        closer together as equal. Vectors of modes that are g apart are right to about
        1e-16 times the largest singular value over g.
    balance_tolerance : float, default 1e-6
        Imbalance ||W_{j+1}^T W_{j+1} - W_j W_j^T||_F up to which layers count as balanced, as a
        share of the largest ||W_j||_F^2.

    Returns
    -------
    SingularVelocities
        In float64.

    Raises
    ------
    ValueError, TypeError
        If the layers are not balanced, so that the theorem does not apply; if the shapes do not
        fit together, an argument is not as above, or a velocity leaves the range of float64.

    Notes
    -----
    With g_rs = u_r^T G v_s and modes r, s of different singular values [1]_:

    * ds_r/dt = -N s_r^(2-2/N) g_rr - lambda N s_r (Theorem 3);
    * u_s^T du_r/dt = -(s_r g_sr + s_s g_rs) / (s_r^(2/N) - s_s^(2/N)), and with g_sr and g_rs
      exchanged v_s^T dv_r/dt (Lemma 2);
    * what lies outside of all modes with s > 0: -(I - U U^T) G v_r s_r^(1-2/N), and
      -(I - V V^T) G^T u_r s_r^(1-2/N).

    The lemma takes singular values that are distinct and not zero. Beyond it: m equal values s > 0
    leave as -N s^(2-2/N) times the eigenvalues of the symmetric part of the m x m block of g, the
    least one first. Modes at zero stay there at depth 2 and more, which is why the rank cannot
    grow; at depth 1 they leave with the singular values of (I - U U^T) G (I - V V^T).

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> moving = dln.theory.singular_velocities(np.diag([0.5, 0.1]), problem, depth=2)
    >>> moving.value_velocity
    array([2.5 , 0.18])
    """
    share = as_real(tolerance, "tolerance", minimum=0.0, below=1.0)
    decay = as_real(weight_decay, "weight_decay", minimum=0.0)
    allowed = as_real(balance_tolerance, "balance_tolerance", minimum=0.0)
    if depth is None:
        layers = as_weights(weights)
        _check_balance(layers, allowed)
        n_layers = len(layers)
        matrix = chain.product([layer.astype(np.float64) for layer in layers])
    else:
        n_layers = as_count(depth, "depth", 1)
        matrix = as_matrix(weights, "weights")
    with np.errstate(over="ignore", invalid="ignore"):
        flow = _Flow(matrix, as_gradient(problem, matrix), n_layers, share)
        return flow.velocities(decay)


def _check_balance(layers: list[NDArray[Any]], allowed: float) -> None:
    imbalance = relative_imbalance(layers)
    if imbalance > allowed:
        raise ValueError(
            f"weights: expected balanced layers (imbalance up to {allowed:g} of the largest "
            f"squared norm), as the theorem has them, got {imbalance:.3g}; give the end-to-end "
            "matrix and depth= for the flow from balanced layers of the same product"
        )


def relative_imbalance(layers: list[NDArray[Any]]) -> float:
    """Return the balancedness of checked layers as a share of the largest squared norm."""
    largest = max(float(np.max(np.abs(layer))) for layer in layers)
    if largest == 0.0 or not math.isfinite(largest):  # a diverged run ends with any numbers
        return 0.0 if largest == 0.0 else math.nan
    scaled = [layer.astype(np.float64) / largest for layer in layers]
    return metrics.balancedness(scaled) / max(float(np.sum(layer**2)) for layer in scaled)


class _Flow:
    """The decomposition of W, with the vectors that the flow separates.

    Parameters
    ----------
    matrix, gradient : ndarray, shape (d_N, d_0)
        W and G.
    depth : int
        N.
    tolerance : float
        Share of the largest singular value that counts as nothing.
    """

    def __init__(
        self, matrix: FloatArray, gradient: FloatArray, depth: int, tolerance: float
    ) -> None:
        self._gradient = gradient
        self._depth = depth
        self._left, self._values, self._right = _core.svd(matrix)
        nothing = tolerance * self._values[0]
        self._rank = int(np.count_nonzero(self._values > nothing))
        self._clusters = _clusters(self._values[: self._rank], nothing)
        for cluster in self._clusters:
            self._separate(cluster)

    def _separate(self, cluster: slice) -> None:
        """Rotate the vectors of equal singular values to those that the flow leaves along."""
        if cluster.stop - cluster.start == 1:
            return
        left, right = self._left[:, cluster], self._right[:, cluster]
        block = left.T @ self._gradient @ right
        # Ascending alignments: descending velocities.
        _, rotation = np.linalg.eigh((block + block.T) / 2.0)
        self._left[:, cluster] = left @ rotation
        self._right[:, cluster] = right @ rotation

    def velocities(self, decay: float) -> SingularVelocities:
        left, right, rank = self._left, self._right, self._rank
        alignment = np.einsum("ir,ij,jr->r", left, self._gradient, right, optimize=True)
        velocity = value_velocity(self._values, alignment, self._depth, decay)
        velocity[rank:] = self._from_zero(velocity.size - rank)
        determined = np.zeros(velocity.size, dtype=np.bool_)
        determined[[c.start for c in self._clusters if c.stop - c.start == 1]] = True
        moves = (
            self._vector_velocity(left[:, :rank], right[:, :rank], self._gradient),
            self._vector_velocity(right[:, :rank], left[:, :rank], self._gradient.T),
        )
        of_left, of_right = (_undetermined(move, determined) for move in moves)
        for array in (velocity, of_left[:, determined], of_right[:, determined]):
            if not np.isfinite(array).all():
                raise ValueError(
                    "weights: expected singular values and a gradient whose powers and products "
                    "stay in the range of float64, got a velocity that leaves it"
                )
        arrays = (self._values, left, right, alignment, velocity, of_left, of_right, determined)
        return SingularVelocities(*(freeze(array) for array in arrays))

    def _from_zero(self, count: int) -> FloatArray:
        """Return the velocities of modes at zero."""
        if self._depth > 1 or count == 0:
            return np.zeros(count)
        left, right = self._left[:, : self._rank], self._right[:, : self._rank]
        outside = self._gradient - left @ (left.T @ self._gradient)
        outside -= (outside @ right) @ right.T
        leaving: FloatArray = _core.singular_values(np.ascontiguousarray(outside))[:count]
        return leaving

    def _vector_velocity(
        self, vectors: FloatArray, others: FloatArray, gradient: FloatArray
    ) -> FloatArray:
        """Return the velocity of one side's vectors; `gradient` maps the others to this side."""
        values = self._values[: self._rank]
        pull = gradient @ others
        inside = vectors.T @ pull  # inside[s, r] = g_sr
        larger, smaller = np.maximum.outer(values, values), np.minimum.outer(values, values)
        # s_r^(2/N) - s_s^(2/N) over the larger power: not by the powers, which are all near 1 for
        # large N. The difference of values is exact where they are close.
        gap = np.log1p((larger - smaller) / smaller)
        differences = -np.expm1(-2.0 / self._depth * gap)
        differences *= np.sign(np.subtract.outer(values, values)).T
        for cluster in self._clusters:  # within one of them only the sum is determined
            differences[cluster, cluster] = np.inf
        weighted = inside * (values / larger)
        mixing = -(weighted + weighted.T) / differences * larger ** (1.0 - 2.0 / self._depth)
        beyond = (pull - vectors @ inside) * values ** (1.0 - 2.0 / self._depth)
        velocity: FloatArray = vectors @ mixing - beyond
        return velocity


def _clusters(values: FloatArray, nothing: float) -> list[slice]:
    """Return the runs of values, in descending order, that are equal up to `nothing`."""
    breaks = np.flatnonzero(values[:-1] - values[1:] > nothing) + 1
    edges = [0, *breaks.tolist(), values.size]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _undetermined(velocity: FloatArray, determined: NDArray[np.bool_]) -> FloatArray:
    """Return the velocities of all modes, NaN for those that are not determined."""
    full = np.full((velocity.shape[0], determined.size), np.nan)
    full[:, : velocity.shape[1]] = velocity
    full[:, ~determined] = np.nan
    return full
