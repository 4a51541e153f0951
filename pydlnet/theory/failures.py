"""Starts from which gradient descent provably fails: both conditions of the theorem are needed."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import chain
from .._display import Shown
from .._validation import as_count, as_matrix, as_real
from ..initialization import identity
from ..problems import TargetMatrix
from .identity_start import half_square

__all__ = ["FailingStart", "failure_without_balance", "failure_without_margin"]


@dataclass(frozen=True, repr=False)
class FailingStart(Shown):
    """A start that gradient descent does not get away from.

    Attributes
    ----------
    problem : TargetMatrix
        What is minimised; the smallest loss is 0.
    weights : list of ndarray, shape (d, d)
        The start.
    loss_floor : float
        In exact arithmetic the loss is never below this.
    claim : str
        What proves it.

    Examples
    --------
    >>> import pydlnet as dln
    >>> failing = dln.theory.failure_without_margin()
    >>> failing.loss_floor
    0.125
    >>> method = dln.GradientDescent(0.05)
    >>> trajectory = dln.run(failing.problem, failing.weights, method, n_steps=500)
    >>> bool(trajectory.data.loss[-1] > 0.99 * failing.loss_floor)
    True
    """

    problem: TargetMatrix
    weights: list[NDArray[Any]]
    loss_floor: float
    claim: str


def failure_without_balance(
    deficiency_margin: float, learning_rate: float, *, depth: int = 2, size: int = 1
) -> FailingStart:
    """Return an unbalanced start with a deficiency margin from which descent diverges.

    Parameters
    ----------
    deficiency_margin : float
        Margin c that the start has at least; above 0 and below sigma_min(Phi) = 1.
    learning_rate : float
        Rate that the start fails for, above 0; it holds for this rate only.
    depth : int, default 2
        N, even.
    size : int, default 1
        d, the width of all layers.

    Returns
    -------
    FailingStart
        The target is the identity; the floor is the loss of the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or the layers leave the range of float64.

    Notes
    -----
    Claim 4 of [1]_: for every margin and every rate there is such a start. Here the upper left
    entry of half of the layers is A, that of the others B, with product p = max(3/4, (1 + c)/2),
    and everything else is that of the identity and stays so. With h = rate (1 - p) p and

        A^2 = max(1, (1 + 6 (1 + h)^2 / (rate h)) / h),

    one step makes both kinds of entries of the size A. Call the larger and the smaller one X and
    x in absolute value, rho = X / x, and W the product of all. From then on
    rate W (W - 1) >= 3 X^2 and rate (4 W - 1) >= 7 rho: both kinds change sign in every step, W
    grows by a factor of 4 or more and rho by a factor of at most 3/2, so that both inequalities
    hold again. The loss rises from the first step on, and faster than any power.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Claim 4. arXiv:1810.02281

    Examples
    --------
    >>> import pydlnet as dln
    >>> start = dln.theory.failure_without_balance(0.5, 0.1)
    >>> [round(float(layer[0, 0]), 4) for layer in start.weights], start.loss_floor
    ([420.9275, 0.0018], 0.03125)
    """
    half = _half(depth)
    # Rounding must not reach 1 - p.
    nearly = 1.0 - 128.0 * half * float(np.finfo(np.float64).eps)
    margin = as_real(deficiency_margin, "deficiency_margin", positive=True, below=nearly)
    rate = as_real(learning_rate, "learning_rate", positive=True)
    product = max(0.75, 0.5 * (1.0 + margin))
    move = rate * (1.0 - product) * product
    large = math.sqrt(max(1.0, _growth(rate, move)))
    small = math.pow(product, 1.0 / half) / large
    if not (math.isfinite(large) and small > 0.0):
        raise ValueError(_OUT_OF_RANGE)
    weights = identity((as_count(size, "size", 1),) * (2 * half + 1))
    for index, layer in enumerate(weights):
        layer[0, 0] = small if index % 2 else large
    problem = TargetMatrix(np.eye(len(weights[0])))
    loss = chain.value_and_gradients(weights, problem)[0]
    return FailingStart(problem, weights, loss, f"{_PAPER}, Claim 4")


def failure_without_margin(
    target: ArrayLike = ((1.0, 0.0), (0.0, -0.5)), *, depth: int = 4
) -> FailingStart:
    """Return a balanced start without a deficiency margin that stays away from the target.

    Parameters
    ----------
    target : array_like, shape (d, d)
        Symmetric, with a negative eigenvalue.
    depth : int, default 4
        N, even.

    Returns
    -------
    FailingStart
        All layers are the identity; the floor holds for every learning rate.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Notes
    -----
    Claim 5 of [1]_: from identity layers and for a symmetric target U diag(lambda) U^T, all
    layers stay equal to one matrix U D U^T, each entry of D following
    d <- d - rate d^(N-1) (d^N - lambda). For even N the end-to-end matrix U D^N U^T is positive
    semi-definite, so the loss is at least half the sum of the squared negative eigenvalues.

    In floating point the loss may be below the floor by rounding. Where rounding makes the layers
    differ along the eigenvector of a negative eigenvalue, that difference grows, at depth 2
    exponentially, and the start may be left in the end.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Claim 5. arXiv:1810.02281

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.failure_without_margin().loss_floor
    0.125
    """
    matrix = as_matrix(target, "target")
    half = _half(depth)
    if matrix.shape[0] != matrix.shape[1] or not np.array_equal(matrix, matrix.T):
        raise ValueError(f"target: expected a symmetric matrix, got {_asymmetry(matrix)}")
    eigenvalues = np.linalg.eigvalsh(matrix)
    noise = matrix.shape[0] * float(np.finfo(np.float64).eps) * float(np.max(np.abs(eigenvalues)))
    negative = eigenvalues[eigenvalues < -noise]
    if not negative.size:
        raise ValueError(
            f"target: expected a negative eigenvalue, got a smallest one of {eigenvalues[0]:.6g}"
        )
    return FailingStart(
        TargetMatrix(matrix),
        identity((matrix.shape[0],) * (2 * half + 1)),
        half_square(negative),
        f"{_PAPER}, Claim 5",
    )


_PAPER = "Arora, Cohen, Golowich & Hu 2019, arXiv:1810.02281"
_OUT_OF_RANGE = (
    "learning_rate: the start for this rate, margin and depth leaves the range of float64"
)


def _growth(rate: float, move: float) -> float:
    """Return (1 + 6 (1 + move)^2 / (rate move)) / move, infinite where it overflows."""
    if move == 0.0:
        return math.inf
    return (1.0 + 6.0 * ((1.0 + move) / rate) * ((1.0 + move) / move)) / move


def _half(depth: Any) -> int:
    count = as_count(depth, "depth", 2)
    if count % 2:
        raise ValueError(f"depth: expected an even number of layers, got {count}")
    return count // 2


def _asymmetry(matrix: NDArray[Any]) -> str:
    if matrix.shape[0] != matrix.shape[1]:
        return f"shape {matrix.shape}"
    return f"entries that differ by {float(np.max(np.abs(matrix - matrix.T))):.3g}"
