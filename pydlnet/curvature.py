"""Curvature of phi(W_1, ..., W_N) = loss(W_N ... W_1): its Hessian and the extreme eigenvalues.

Always in float64, whatever the dtype of the layers; weight decay is no part of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from ._display import Shown
from ._validation import FloatArray, as_count, as_real, as_weights, widths_of
from .problems import Problem

__all__ = [
    "HessianExtremes",
    "hessian",
    "hessian_extremes",
    "hessian_product",
]

# Of the residuals, relative to the larger extreme in size. The error of an isolated eigenvalue is
# about the square of that.
TOLERANCE = 1e-8

# Never needed by far, and the end of a search that does not converge.
MAX_PRODUCTS = 10_000

# How long the core works before Python looks for Ctrl-C.
SECONDS_A_SLICE = 0.05

# A matrix of 800 MB.
LARGEST_DENSE = 10_000


@dataclass(frozen=True, repr=False)
class HessianExtremes(Shown):
    """The largest and the smallest eigenvalue of a Hessian, signed.

    Parameters
    ----------
    largest : float
        The sharpness. NaN, as everything but `n_products`, where the Hessian leaves the range of
        float64.
    smallest : float
        Negative where the layers are not at a minimum.
    largest_residual : float
        An eigenvalue lies within this of `largest`.
    smallest_residual : float
        An eigenvalue lies within this of `smallest`.
    n_products : int
        Products of the Hessian with a vector that the search took.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([4.0, 1.0]))
    >>> weights = dln.init.balanced_from(problem.target, (2, 2, 2))
    >>> found = dln.metrics.hessian_extremes(weights, problem)
    >>> round(found.largest, 6), round(abs(found.smallest), 6)
    (8.0, 0.0)
    """

    largest: float
    smallest: float
    largest_residual: float
    smallest_residual: float
    n_products: int

    @property
    def stable_learning_rate(self) -> float:
        """The rate 2 / largest beyond which gradient descent leaves a minimum with this Hessian.

        Infinite if no eigenvalue is positive.
        """
        if math.isnan(self.largest):
            return math.nan
        return 2.0 / self.largest if self.largest > 0.0 else math.inf


def hessian_product(
    weights: Sequence[ArrayLike], problem: Problem, direction: Sequence[ArrayLike]
) -> list[FloatArray]:
    """Multiply the Hessian of the loss in all layers by a direction.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers; all float64 or all float32.
    problem : Problem
        What is minimised.
    direction : sequence of array_like, shape (d_j, d_{j-1})
        A matrix V_j for each layer.

    Returns
    -------
    list of ndarray of float64, shape (d_j, d_{j-1})
        The derivative of the gradients along the direction. Not finite where it, or what it is made
        of, leaves the range of float64.

    Raises
    ------
    ValueError, TypeError
        If layers or direction do not form a finite chain or do not fit; if the loss has no second
        derivative or does not know it: `Regression` with p < 2, `EndToEndLoss` without
        `hessian_product`.

    Notes
    -----
    With P_j = W_j ... W_1, S_j = W_N ... W_{j+1}, their derivatives P'_j and S'_j along the
    direction, the gradient G of the loss in W, and G' its derivative along P'_N, the product is
    S'_j^T G P_{j-1}^T + S_j^T G' P_{j-1}^T + S_j^T G P'_{j-1}^T, in one forward and one backward
    sweep [1]_. Nothing is approximated.

    References
    ----------
    .. [1] B. A. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6,
       1994.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix([[1.0]])  # phi = (w_2 w_1 - 1)^2 / 2
    >>> layers = [np.array([[2.0]]), np.array([[3.0]])]
    >>> dln.chain.hessian_product(layers, problem, [np.array([[1.0]]), np.array([[0.0]])])
    [array([[9.]]), array([[11.]])]
    """
    layers = _as_layers(weights, problem)
    along = as_weights(direction, "direction")
    if widths_of(along) != widths_of(layers):
        raise ValueError(
            f"direction: expected the widths {widths_of(layers)} of the weights, "
            f"got {widths_of(along)}"
        )
    vector = np.concatenate([layer.ravel() for layer in along], dtype=np.float64)
    product = _core.hessian_product(open_curvature(layers, _loss(problem, layers)), vector)
    ends = np.cumsum([layer.size for layer in layers])
    parts = np.split(product, ends[:-1])
    return [part.reshape(layer.shape) for part, layer in zip(parts, layers, strict=True)]


def hessian(
    weights: Sequence[ArrayLike], problem: Problem, *, layer: int | None = None
) -> FloatArray:
    """Return the Hessian of the loss in all layers, or in one, as a matrix.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers; all float64 or all float32.
    problem : Problem
        What is minimised.
    layer : int, optional
        j = 1, ..., N: the block of the second derivatives in layer j alone.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Symmetric. Rows and columns are the entries of the layers, W_1 first, each row by row, as in
        `np.concatenate([layer.ravel() for layer in weights])`. Not finite where it leaves the range
        of float64.

    Raises
    ------
    ValueError, TypeError
        As `chain.hessian_product`; also if there is no such layer, or more than 10,000 entries.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.metrics.hessian([[[2.0]], [[3.0]]], dln.TargetMatrix([[1.0]]))
    array([[ 9., 11.],
           [11.,  4.]])
    """
    layers = _as_layers(weights, problem)
    number = _as_layer_number(layer, len(layers))
    n = sum(w.size for w in layers) if number is None else layers[number].size
    if n > LARGEST_DENSE:
        raise ValueError(
            f"weights: expected at most {LARGEST_DENSE} entries for a dense Hessian, got {n}; "
            "hessian_extremes and chain.hessian_product work on any number"
        )
    curvature = open_curvature(layers, _loss(problem, layers), number)
    matrix = np.empty((n, n))
    unit = np.zeros(n)
    for i in range(n):
        unit[i] = 1.0
        matrix[i] = _core.hessian_product(curvature, unit)
        unit[i] = 0.0
    return 0.5 * matrix + 0.5 * matrix.T  # both are right to rounding; their sum may overflow


def hessian_extremes(
    weights: Sequence[ArrayLike],
    problem: Problem,
    *,
    layer: int | None = None,
    tolerance: float = TOLERANCE,
) -> HessianExtremes:
    """Return the largest and the smallest eigenvalue of the Hessian in all layers, or in one.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers; all float64 or all float32.
    problem : Problem
        What is minimised.
    layer : int, optional
        j = 1, ..., N: of the block of the second derivatives in layer j alone.
    tolerance : float, default 1e-8
        Largest residual, relative to the extreme that is larger in size; above 0.

    Returns
    -------
    HessianExtremes
        Reproducible bit for bit: the search starts from the same vector for every network of a
        size. Networks of up to 96 entries are gone through to the end of the space; then the
        extremes are certain, and right to rounding. After 10,000 products the residuals say what
        was reached.

    Raises
    ------
    ValueError, TypeError
        As `chain.hessian_product`; also if there is no such layer, or the tolerance is not above 0.

    Notes
    -----
    Lanczos with full reorthogonalisation and thick restarts [1]_ on exact products. The residual
    ||H y - value y|| of the unit vector y found bounds the distance to the nearest eigenvalue, up
    to rounding; where that one is isolated the error is about the square of the residual. That no
    eigenvalue lies further out is certain only up to the luck of the start, which is next to
    certain: an eigenvalue is missed if its vectors are orthogonal to the start, or if it differs
    from the value found by less than about the tolerance.

    References
    ----------
    .. [1] K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue
       problems", SIAM J. Matrix Anal. Appl. 22, 2000.

    Examples
    --------
    At a balanced minimum the largest eigenvalue is N sigma_1^(2-2/N):

    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([4.0, 1.0]))
    >>> weights = dln.init.balanced_from(problem.target, (2, 2, 2))
    >>> found = dln.metrics.hessian_extremes(weights, problem)
    >>> round(found.largest, 12), round(abs(found.smallest), 12)
    (8.0, 0.0)
    >>> round(found.stable_learning_rate, 12)
    0.25
    """
    layers = _as_layers(weights, problem)
    number = _as_layer_number(layer, len(layers))
    limit = as_real(tolerance, "tolerance", positive=True)
    curvature = open_curvature(layers, _loss(problem, layers), number, limit)
    search(curvature, largest=True, smallest=True)
    largest, largest_residual, n_largest = _core.extreme_found(curvature, True)
    smallest, smallest_residual, n_smallest = _core.extreme_found(curvature, False)
    return HessianExtremes(
        largest, smallest, largest_residual, smallest_residual, max(n_largest, n_smallest)
    )


def _as_layers(weights: Sequence[ArrayLike], problem: Problem) -> list[FloatArray]:
    if not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a pydlnet problem, got {type(problem).__name__}")
    layers = [np.asarray(layer, dtype=np.float64) for layer in as_weights(weights)]
    problem.check_shape(widths_of(layers))
    problem.check_curvature()
    return layers


def _as_layer_number(layer: int | None, depth: int) -> int | None:
    """Return the number of the layer from 0."""
    return None if layer is None else as_count(layer, "layer", 1, depth) - 1


def _loss(problem: Problem, layers: list[FloatArray]) -> object:
    return problem.core_loss(np.float64, layers[-1].shape[0])


def open_curvature(
    layers: list[FloatArray],
    loss: object,
    layer: int | None = None,
    tolerance: float = TOLERANCE,
) -> object:
    """Return the core's Hessian at these layers and its search, ready to begin."""
    return _core.open_curvature(layers, loss, layer, tolerance, MAX_PRODUCTS)


def search(curvature: object, *, largest: bool, smallest: bool) -> None:
    """Search until all is found that is wanted; Ctrl-C raises as anywhere."""
    while not _core.search_extremes(curvature, largest, smallest, SECONDS_A_SLICE):
        pass
