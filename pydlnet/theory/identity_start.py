"""Layers that all start as a multiple of the identity and learn a symmetric target.

They stay equal, symmetric and diagonal in the eigenvectors of the target, so that gradient descent
is one scalar recursion for each eigenvalue.
"""

import numpy as np
from numpy.typing import ArrayLike

from .. import chain
from .._validation import FloatArray, as_array, as_count, as_matrix, as_real
from ._arguments import as_steps, as_times, broadcast
from .modes import mode_strength

__all__ = ["eigenvalue_descent", "identity_descent", "identity_flow", "identity_loss_floor"]


def eigenvalue_descent(
    targets: ArrayLike,
    starts: ArrayLike,
    depth: int,
    learning_rate: float,
    steps: ArrayLike,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Return the eigenvalues that N equal, aligned layers have under gradient descent.

    Parameters
    ----------
    targets, starts : array_like, shape (n_modes,) or scalar
        Eigenvalues of the target and of each layer at step 0; scalars are broadcast.
    depth : int
        The number N of layers, at least 1.
    learning_rate : float
        Above 0.
    steps : array_like of int, shape (...)
        The steps to return, at least 0, in any order.
    weight_decay : float, default 0.0
        At least 0.

    Returns
    -------
    ndarray, shape steps.shape + (n_modes,)
        d of each layer, without the last axis if targets and starts are scalars; the end-to-end
        eigenvalue is d^N. Infinite from the step on at which one leaves the range of float64.

    Raises
    ------
    ValueError, TypeError
        If something is not finite or outside the ranges above.

    Notes
    -----
    d <- d - learning_rate (d^(N-1) (d^N - target) + weight_decay d) [1]_ [2]_, exactly. The same
    holds for singular values of balanced layers that are aligned with a target of any shape. For
    a negative target the equality of the layers is unstable: rounding ends it in a computed
    network, but not here.

    References
    ----------
    .. [1] P. Bartlett, D. Helmbold and P. Long, "Gradient descent with identity initialization
       efficiently learns positive definite linear transformations by deep residual networks",
       ICML 2018. arXiv:1802.06093
    .. [2] H.-H. Chou, C. Gieshoff, J. Maly and H. Rauhut, 2020. arXiv:2011.13772

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.eigenvalue_descent([2.0, 0.5], 1.0, 2, 0.1, [0, 1])
    array([[1.  , 1.  ],
           [1.1 , 0.95]])
    """
    n_layers = as_count(depth, "depth", 1)
    rate = as_real(learning_rate, "learning_rate", positive=True)
    decay = as_real(weight_decay, "weight_decay", minimum=0.0)
    target, d = broadcast(targets=as_array(targets, "targets"), starts=as_array(starts, "starts"))
    wanted = as_steps(steps)
    distinct, place = np.unique(wanted, return_inverse=True)
    result = np.empty((distinct.size, *d.shape))
    step = 0
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for i, until in enumerate(distinct.tolist()):
            while step < until:
                new = _descend(d, target, n_layers, rate, decay)
                step = until if (new == d).all() else step + 1
                d = new
            result[i] = d
    return result[place.reshape(wanted.shape)]


def identity_descent(
    target: ArrayLike,
    depth: int,
    learning_rate: float,
    steps: ArrayLike,
    scale: float = 1.0,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Return the end-to-end matrix of gradient descent from identity layers.

    Parameters
    ----------
    target : array_like, shape (d, d)
        Symmetric up to rounding.
    depth : int
        The number N of layers, at least 1.
    learning_rate : float
        Above 0.
    steps : array_like of int, shape (n_steps,)
        The steps to return, at least 0, in any order.
    scale : float, default 1.0
        Above 0: W starts as scale times the identity, as in `pydlnet.init.identity`.
    weight_decay : float, default 0.0
        At least 0.

    Returns
    -------
    ndarray, shape (n_steps, d, d)
        W at each of the steps.

    Raises
    ------
    ValueError, TypeError
        If the target is not symmetric, the descent diverges before the last step, or something
        is not finite or outside the ranges above.

    Notes
    -----
    Q diag(d^N) Q^T with the eigenvectors Q of the target and `eigenvalue_descent` [1]_.

    References
    ----------
    .. [1] P. Bartlett, D. Helmbold and P. Long, ICML 2018. arXiv:1802.06093

    Examples
    --------
    >>> import pydlnet as dln
    >>> target = [[2.0, 0.0], [0.0, 0.5]]
    >>> dln.theory.identity_descent(target, 2, learning_rate=0.1, steps=[1]).round(9) + 0.0
    array([[[1.21  , 0.    ],
            [0.    , 0.9025]]])
    """
    n_layers = as_count(depth, "depth", 1)
    start = as_real(scale, "scale", positive=True) ** (1.0 / n_layers)
    values, vectors = _eigen(target)
    layer = eigenvalue_descent(values, start, n_layers, learning_rate, steps, weight_decay)
    with np.errstate(over="ignore", under="ignore"):
        strengths = layer**n_layers
    if strengths.ndim != 2:
        raise ValueError(f"steps: expected a vector, got an array of shape {np.shape(steps)}")
    if not np.isfinite(strengths).all():
        raise ValueError(
            f"learning_rate: expected a rate at which descent stays finite, got {learning_rate}, "
            "with which it diverges"
        )
    return _compose(strengths, vectors)


def identity_flow(
    target: ArrayLike, depth: int, times: ArrayLike, scale: float = 1.0
) -> FloatArray:
    """Return the end-to-end matrix of gradient flow from identity layers.

    Parameters
    ----------
    target : array_like, shape (d, d)
        Symmetric up to rounding.
    depth : int
        The number N of layers, at least 1.
    times : array_like, shape (n_times,)
        At least 0.
    scale : float, default 1.0
        Above 0: W starts as scale times the identity.

    Returns
    -------
    ndarray, shape (n_times, d, d)
        W at each of the times.

    Raises
    ------
    ValueError, TypeError
        If the target is not symmetric, or something is not finite or outside the ranges above.

    Notes
    -----
    Every eigenvalue is a mode: see `mode_strength`. One that should become negative decays to 0
    for depth > 1 [1]_.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Claim 5. arXiv:1810.02281

    Examples
    --------
    >>> import pydlnet as dln
    >>> flow = dln.theory.identity_flow([[2.0, 0.0], [0.0, -1.0]], depth=2, times=[0.0, 10.0])
    >>> flow[-1].round(3) + 0.0  # the negative eigenvalue is out of reach
    array([[2., 0.],
           [0., 0.]])
    """
    t = as_times(times, "times")
    if t.ndim != 1:
        raise ValueError(f"times: expected a vector, got an array of shape {t.shape}")
    values, vectors = _eigen(target)
    start = as_real(scale, "scale", positive=True)
    return _compose(mode_strength(t, values, start, as_count(depth, "depth", 1)), vectors)


def identity_loss_floor(target: ArrayLike, depth: int) -> float:
    """Return what the loss stays above when layers of even number start at the identity.

    Parameters
    ----------
    target : array_like, shape (d, d)
        Symmetric up to rounding.
    depth : int
        The number N of layers, even.

    Returns
    -------
    float
        Half the sum of the squared negative eigenvalues of the target.

    Raises
    ------
    ValueError, TypeError
        If the target is not symmetric or not finite, the depth is odd, or the floor leaves the
        range of float64.

    Notes
    -----
    The layers stay equal and symmetric, so W = W_1^N is positive semidefinite, whatever the
    learning rate [1]_. With an odd number of layers large steps can cross zero.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Claim 5. arXiv:1810.02281

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.identity_loss_floor([[1.0, 0.0], [0.0, -0.5]], 4)
    0.125
    """
    if as_count(depth, "depth", 2) % 2:
        raise ValueError(f"depth: expected an even number, got {depth}")
    negative = np.minimum(_eigen(target)[0], 0.0)
    return half_square(negative)


def half_square(values: FloatArray) -> float:
    """Return half the sum of the squares of a target's eigenvalues."""
    with np.errstate(over="ignore"):
        result = 0.5 * float(np.sum(values * values))
    if not np.isfinite(result):
        raise ValueError(
            "target: expected eigenvalues with squares in the range of float64, "
            f"got {values[np.argmax(np.abs(values))]:g}"
        )
    return result


def _descend(
    d: FloatArray, target: FloatArray, depth: int, rate: float, decay: float
) -> FloatArray:
    power = d ** (depth - 1)
    new = d - rate * (power * (power * d - target) + decay * d)
    # Infinity stays what it is: its own step would be inf - inf.
    return np.where(np.isfinite(d), new, d)


def _eigen(target: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return eigenvalues and eigenvectors of a matrix that is symmetric up to rounding."""
    matrix = as_matrix(target, "target")
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"target: expected a square matrix, got shape {matrix.shape}")
    gap, size = np.max(np.abs(matrix - matrix.T)), np.max(np.abs(matrix))
    if gap > 1e-13 * len(matrix) * size:
        raise ValueError(f"target: expected a symmetric matrix, got entries that differ by {gap:g}")
    values, vectors = np.linalg.eigh(0.5 * matrix + 0.5 * matrix.T)
    return values, vectors


def _compose(strengths: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return Q diag(strength) Q^T for every row of strengths."""
    return np.stack([chain.product([row[:, None] * vectors.T, vectors]) for row in strengths])
