"""How the end-to-end matrix of balanced layers moves: a preconditioned gradient.

Under gradient flow from balanced layers the product W of N layers moves by

    dW/dt = -lambda N W - sum_j [W W^T]^((j-1)/N) G [W^T W]^((N-j)/N),    G = grad l(W),

whatever the hidden widths. The powers are taken through the singular value decomposition of W:
those of the Gram matrices W W^T and W^T W would lose half of the digits, and more of null spaces.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._display import Shown
from .._validation import FloatArray, as_count, as_matrix, as_real, freeze
from ..problems import Problem
from ._arguments import as_gradient

__all__ = [
    "SingleOutputVelocity",
    "end_to_end_velocity",
    "preconditioner_spectrum",
    "single_output_velocity",
]


def preconditioner_spectrum(
    end_to_end: ArrayLike, depth: int, *, tolerance: float | None = None
) -> FloatArray:
    """Return how many times faster than by itself depth moves W in each of its directions.

    Parameters
    ----------
    end_to_end : array_like, shape (d_N, d_0)
        W.
    depth : int
        N, at least 1.
    tolerance : float, optional
        Share of the largest singular value, in [0, 1), up to which one counts as zero: what a
        decomposition leaves of a zero, max(d_N, d_0) times 2.2e-16, if not given.

    Returns
    -------
    ndarray, shape (d_N, d_0)
        The eigenvalue of the direction u_r v_q^T: the sum over j = 1, ..., N of
        s_r^(2(j-1)/N) s_q^(2(N-j)/N), with the singular vectors of W in descending order of the
        singular values s, completed by bases of the null spaces, where s = 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or an eigenvalue leaves the range of float64.

    Notes
    -----
    Claim 1 of [1]_: the flow moves vec(W) by -P vec(G), and these are the eigenvalues of P.
    They are (s_r^2 - s_q^2) / (s_r^(2/N) - s_q^(2/N)) for different values, N s^(2-2/N) for equal
    ones, s^(2-2/N) beside a zero, and 0 for two zeros at depth 2 and more. Divided by N they
    tend to `infinite_depth_spectrum`. At a balanced minimum of 1/2 ||W - target||_F^2 they are
    the eigenvalues of the Hessian that are not zero.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.preconditioner_spectrum([[1.0, 0.0, 0.0], [0.0, 0.25, 0.0]], depth=2)
    array([[2.  , 1.25, 1.  ],
           [1.25, 0.5 , 0.25]])
    """
    matrix = as_matrix(end_to_end, "end_to_end")
    n_layers = as_count(depth, "depth", 1)
    share = _as_tolerance(tolerance, matrix)
    values = _core.singular_values(matrix)
    values[_are_zero(values, share)] = 0.0
    padded = [np.concatenate([values, np.zeros(n - values.size)]) for n in matrix.shape]
    return _in_range(_eigenvalues(padded[0], padded[1], n_layers))


def end_to_end_velocity(
    end_to_end: ArrayLike,
    problem: Problem | ArrayLike,
    depth: int,
    *,
    weight_decay: float = 0.0,
    tolerance: float | None = None,
) -> FloatArray:
    """Return dW/dt under gradient flow from balanced layers.

    Parameters
    ----------
    end_to_end : array_like, shape (d_N, d_0)
        W.
    problem : Problem or array_like, shape (d_N, d_0)
        What is minimised, or its gradient G at W.
    depth : int
        N, at least 1.
    weight_decay : float, default 0
        lambda, at least 0.
    tolerance : float, optional
        Share of the largest singular value, in [0, 1), up to which one counts as zero: what a
        decomposition leaves of a zero, max(d_N, d_0) times 2.2e-16, if not given.

    Returns
    -------
    ndarray, shape (d_N, d_0)
        -lambda N W - sum_j [W W^T]^((j-1)/N) G [W^T W]^((N-j)/N).

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, an argument is not as above, or a velocity leaves the range of
        float64.

    Notes
    -----
    Theorem 1 of [1]_. A step of the end-to-end update rule is W + learning_rate times this; a step
    of gradient descent on balanced layers differs from it by a multiple of learning_rate^2.

    A power of 0 is the identity, also on null spaces. A change e of W that moves a zero singular
    value can change the velocity by as much as e^(2/N): the deeper the network, the more
    depends on what counts as zero.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> np.diagonal(dln.theory.end_to_end_velocity(np.diag([0.5, 0.25]), problem, depth=2))
    array([2.5  , 0.375])
    """
    matrix = as_matrix(end_to_end, "end_to_end")
    gradient = as_gradient(problem, matrix)
    n_layers = as_count(depth, "depth", 1)
    decay = as_real(weight_decay, "weight_decay", minimum=0.0)
    share = _as_tolerance(tolerance, matrix)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = gradient if n_layers == 1 else _precondition(matrix, gradient, n_layers, share)
        return _in_range(-(n_layers * decay) * matrix - moved)


def _precondition(matrix: FloatArray, gradient: FloatArray, depth: int, share: float) -> FloatArray:
    """Return sum_j [W W^T]^((j-1)/N) G [W^T W]^((N-j)/N) at depth 2 and more."""
    left, values, right = _core.svd(matrix)
    rank = int(np.count_nonzero(~_are_zero(values, share)))
    left, values, right = left[:, :rank], values[:rank], right[:, :rank]
    from_left, from_right = left.T @ gradient, gradient @ right
    inside = from_left @ right
    # Of directions with one side in a null space: only the first or the last term is left there.
    beside = values ** (2.0 - 2.0 / depth)
    rows = (_eigenvalues(values, values, depth) * inside) @ right.T
    rows += beside[:, np.newaxis] * (from_left - inside @ right.T)
    moved: FloatArray = left @ rows + ((from_right - left @ inside) * beside) @ right.T
    return moved


def _eigenvalues(on_left: FloatArray, on_right: FloatArray, depth: int) -> FloatArray:
    """Return the sum over j of s_r^(2(j-1)/N) s_q^(2(N-j)/N) for all pairs of values."""
    larger = np.maximum.outer(on_left, on_right)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        # A geometric series in (s_q / s_r)^(2/N) = e^(-gap/N). Of two zeros the gap is NaN.
        gap = 2.0 * np.abs(np.subtract.outer(np.log(on_left), np.log(on_right)))
        series = np.where(gap > 0.0, np.expm1(-gap) / np.expm1(-gap / depth), float(depth))
        both_zero = 1.0 if depth == 1 else 0.0
        return np.where(larger > 0.0, larger ** (2.0 - 2.0 / depth) * series, both_zero)


def _are_zero(values: FloatArray, share: float) -> NDArray[np.bool_]:
    zero: NDArray[np.bool_] = values <= share * values[0]
    return zero


def _as_tolerance(tolerance: float | None, matrix: FloatArray) -> float:
    if tolerance is None:
        return float(max(matrix.shape) * np.finfo(np.float64).eps)
    return as_real(tolerance, "tolerance", minimum=0.0, below=1.0)


def _in_range(result: FloatArray) -> FloatArray:
    if not np.isfinite(result).all():
        raise ValueError(
            "end_to_end: expected numbers whose powers and products stay in the range of float64, "
            f"got a result of {result[~np.isfinite(result)][0]}"
        )
    return result


@dataclass(frozen=True, eq=False, repr=False)
class SingleOutputVelocity(Shown):
    """The velocity of W with one output, and the parts it is made of.

    Attributes
    ----------
    velocity : ndarray, shape (1, d_0)
        dW/dt = -adaptive_rate (gradient + momentum) - decay.
    adaptive_rate : float
        ||W||^(2-2/N): what depth multiplies the learning rate by, more the further W has come.
    gradient : ndarray, shape (1, d_0)
        G.
    momentum : ndarray, shape (1, d_0)
        (N - 1) <W, G> / ||W||^2 W, along the way that W has come; 0 at W = 0.
    decay : ndarray, shape (1, d_0)
        lambda N W.

    Examples
    --------
    >>> import pydlnet as dln
    >>> moving = dln.theory.single_output_velocity([[4.0, 0.0]], [[-1.0, -1.0]], depth=2)
    >>> moving.adaptive_rate, moving.gradient, moving.decay + 0.0
    (4.0, array([[-1., -1.]]), array([[0., 0.]]))
    """

    velocity: FloatArray
    adaptive_rate: float
    gradient: FloatArray = field(repr=False)
    momentum: FloatArray = field(repr=False)
    decay: FloatArray = field(repr=False)


def single_output_velocity(
    end_to_end: ArrayLike,
    problem: Problem | ArrayLike,
    depth: int,
    *,
    weight_decay: float = 0.0,
) -> SingleOutputVelocity:
    """Split dW/dt of balanced layers with one output into adaptive rate and momentum.

    Parameters
    ----------
    end_to_end : array_like, shape (1, d_0)
        W.
    problem : Problem or array_like, shape (1, d_0)
        What is minimised, or its gradient G at W.
    depth : int
        N, at least 1.
    weight_decay : float, default 0
        lambda, at least 0.

    Returns
    -------
    SingleOutputVelocity
        The velocity is that of `end_to_end_velocity`.

    Raises
    ------
    ValueError, TypeError
        If there is more than one output, the shapes differ, an argument is not as above, or a
        velocity leaves the range of float64.

    Notes
    -----
    Claim 2 of [1]_: dW/dt = -||W||^(2-2/N) (G + (N-1) Pr_W{G}) - lambda N W, where Pr_W projects
    on W. The gain is N along W and 1 across it.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> at = dln.theory.single_output_velocity([[4.0, 0.0]], [[-1.0, -1.0]], depth=2)
    >>> at.adaptive_rate, at.momentum, at.velocity
    (4.0, array([[-1., -0.]]), array([[8., 4.]]))
    """
    matrix = as_matrix(end_to_end, "end_to_end")
    check_single_output(matrix)
    gradient = as_gradient(problem, matrix)
    n_layers = as_count(depth, "depth", 1)
    decay = as_real(weight_decay, "weight_decay", minimum=0.0)
    norm, along = direction(matrix)
    with np.errstate(over="ignore", invalid="ignore"):
        momentum = (n_layers - 1) * float(np.vdot(along, gradient)) * along
        adaptive_rate = float(np.power(norm, 2.0 - 2.0 / n_layers))
        decayed = n_layers * decay * matrix
        velocity = _in_range(-adaptive_rate * (gradient + momentum) - decayed)
    # A copy: the gradient may be an array of the user's.
    parts = [freeze(array) for array in (np.array(gradient), momentum, decayed)]
    return SingleOutputVelocity(freeze(velocity), adaptive_rate, *parts)


def check_single_output(matrix: FloatArray) -> None:
    """Raise ValueError unless the matrix has one row."""
    if matrix.shape[0] != 1:
        raise ValueError(
            f"end_to_end: expected one output, shape (1, {matrix.shape[1]}), got {matrix.shape}: "
            "the single-output form does not apply; end_to_end_velocity has any number of outputs"
        )


def direction(matrix: FloatArray) -> tuple[float, FloatArray]:
    """Return ||W||_F and W / ||W||_F, which is 0 for W = 0."""
    largest = float(np.max(np.abs(matrix)))
    if largest == 0.0:
        return 0.0, np.zeros_like(matrix)
    scaled = matrix / largest  # squares of very small or very large entries leave the range
    share = float(np.linalg.norm(scaled))
    return largest * share, scaled / share
