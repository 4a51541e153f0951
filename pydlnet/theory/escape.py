"""When modes leave their plateau, and the staircase that small starts make of two layers."""

import math

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_array, as_real
from ._arguments import as_depth, as_modes, as_times
from .modes import mode_time

__all__ = ["escape_time", "plateau_time", "staircase"]


def escape_time(
    targets: ArrayLike, starts: ArrayLike, depth: float, fraction: float = 0.5
) -> FloatArray:
    """Return the time at which modes reach a fraction of their target.

    Parameters
    ----------
    targets, starts : array_like, broadcast against each other
        The strengths s and u(0), of either sign.
    depth : int or math.inf
        The number N of layers, at least 1, or `math.inf`.
    fraction : float, default 0.5
        Between 0 and 1, both excluded.

    Returns
    -------
    ndarray
        0 where the start is at the fraction or beyond it; infinite where it is never reached,
        because target or start is 0 or (for depth > 1) they have different signs. N t at
        infinite depth.

    Raises
    ------
    ValueError, TypeError
        If something is not finite or outside the ranges above.

    See Also
    --------
    plateau_time : The leading order for small starts.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.escape_time([3.0, 1.0], starts=1e-3, depth=2).round(3)
    array([1.334, 3.453])
    >>> dln.theory.escape_time([3.0, 1.0], starts=1e-3, depth=3).round(3)
    array([3.136, 9.145])
    """
    n_layers = as_depth(depth)
    part = as_real(fraction, "fraction", above=0.0, below=1.0)
    s, u = as_modes(targets, starts)
    goal = part * s
    with np.errstate(over="ignore", under="ignore"):
        beyond = (s != 0.0) & (u / np.where(s == 0.0, 1.0, s) >= part)
    never = (s == 0.0) | ((n_layers > 1) & (np.sign(s) * np.sign(u) <= 0.0))
    start = np.where(beyond | never, goal, u)
    return np.where(never, np.inf, mode_time(goal, s, start, n_layers))


def plateau_time(targets: ArrayLike, starts: ArrayLike, depth: float) -> FloatArray:
    """Return the leading order, for small starts, of the time at which modes escape.

    Parameters
    ----------
    targets, starts : array_like, broadcast against each other
        The strengths s and u(0), positive, u(0) < s.
    depth : int or math.inf
        The number N of layers, at least 2, or `math.inf`.

    Returns
    -------
    ndarray
        ln(s / u(0)) / (2 s) for N = 2, u(0)^(-(1-2/N)) / ((N - 2) s) beyond; N t at infinite
        depth.

    Raises
    ------
    ValueError, TypeError
        If something is not finite or outside the ranges above.

    Notes
    -----
    With layers alpha I, u(0) = alpha^N, these are the escape times of [1]_.

    References
    ----------
    .. [1] H.-H. Chou, C. Gieshoff, J. Maly and H. Rauhut, "Gradient descent for deep matrix
       factorization: dynamics and implicit bias towards low rank", 2020. arXiv:2011.13772

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.plateau_time([3.0, 1.0], starts=1e-6, depth=3).round(3)
    array([ 33.333, 100.   ])
    >>> dln.theory.escape_time([3.0, 1.0], starts=1e-6, depth=3).round(3)
    array([33.137, 99.15 ])
    """
    n_layers = as_depth(depth)
    if n_layers < 2:
        raise ValueError(f"depth: expected an integer >= 2 or infinity, got {depth}")
    s, u = as_modes(targets, starts)
    outside = ~((u > 0.0) & (u < s))
    if outside.any():
        raise ValueError(
            "starts: expected strengths between 0 and the targets, both excluded, got "
            f"{u[outside][0]} for the target {s[outside][0]}"
        )
    if n_layers == 2:
        return (np.log(s) - np.log(u)) / (2.0 * s)
    log_factor = 0.0 if math.isinf(n_layers) else math.log(n_layers - 2.0)
    with np.errstate(over="ignore"):
        return np.exp(-(1.0 - 2.0 / n_layers) * np.log(u) - log_factor - np.log(s))


def staircase(times: ArrayLike, targets: ArrayLike, steepness: float = math.inf) -> FloatArray:
    """Return the modes of two layers in the time scale in which small starts become steps.

    Parameters
    ----------
    times : array_like, shape (...)
        At least 0, in units of `steepness`.
    targets : array_like, shape (n_modes,) or scalar
        Strengths of the target, at least 0.
    steepness : float, default math.inf
        delta > 0: each of the two layers starts at strength e^(-delta).

    Returns
    -------
    ndarray, shape times.shape + (n_modes,)
        u(delta t), without the last axis if targets is a scalar. In the limit a mode of strength
        s is 0 up to the time 1/s, and s from then on; at 1/s itself it is s / (1 + s).

    Raises
    ------
    ValueError, TypeError
        If times or targets are negative, something is not finite, or steepness is not positive.

    Notes
    -----
    s / (1 + (s e^(2 delta) - 1) e^(-2 s delta t)) [1]_.

    References
    ----------
    .. [1] G. Gidel, F. Bach and S. Lacoste-Julien, "Implicit regularization of discrete gradient
       dynamics in linear neural networks", NeurIPS 2019. arXiv:1904.13262

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.staircase([0.2, 0.5, 2.0], [3.0, 1.0])
    array([[0., 0.],
           [3., 0.],
           [3., 1.]])
    """
    t = as_times(times, "times")
    s = as_array(targets, "targets")
    if s.ndim > 1 or (s < 0.0).any():
        raise ValueError(f"targets: expected a vector of numbers >= 0, got {targets!r}")
    delta = as_real(steepness, "steepness", positive=True, finite=False)
    t, s = np.broadcast_arrays(t.reshape(t.shape + (1,) * s.ndim), s)
    with np.errstate(all="ignore"):
        if delta > 1e300:
            return np.select([s * t > 1.0, s * t == 1.0], [s, s / (1.0 + s)], 0.0)
        # 1/u is the integral of 2 delta e^(-2 s delta t') over time, beside what is left of 1/u(0).
        x = 2.0 * delta * (s * t)
        gain = np.where(x < 1e-300, 2.0 * delta * t, -np.expm1(-x) / s)
        return 1.0 / (gain + np.exp(2.0 * delta * (1.0 - s * t)))
