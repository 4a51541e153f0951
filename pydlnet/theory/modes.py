"""Gradient flow of one mode: the strength u of a singular direction shared by N balanced layers.

Layers that are balanced and aligned with the target decouple into modes with
du/dt = N |u|^(2-2/N) (s - u), s being the target's strength. Solutions are closed for N = 1 and 2
and one-dimensional integrals beyond; time as a function of strength is closed at infinite depth.
"""

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_array
from . import _mode_regimes as regimes
from ._arguments import as_depth, as_modes, as_times, broadcast

__all__ = ["mode_strength", "mode_time"]


def mode_strength(
    times: ArrayLike, targets: ArrayLike, starts: ArrayLike, depth: float
) -> FloatArray:
    """Return the strength of modes under gradient flow from balanced layers.

    Parameters
    ----------
    times : array_like, shape (...)
        At least 0. At infinite depth these are N t, which alone has a limit.
    targets, starts : array_like, shape (n_modes,) or scalar
        Strengths s of the target and u(0), of either sign; scalars are broadcast.
    depth : int or math.inf
        The number N of layers, at least 1, or `math.inf`.

    Returns
    -------
    ndarray, shape times.shape + (n_modes,)
        u(t), without the last axis if targets and starts are scalars. A start of 0 stays at 0
        for depth > 1, and a mode whose target has the other sign decays to 0.

    Raises
    ------
    ValueError, TypeError
        If times are negative, something is not finite, or the depth is not as described.

    Notes
    -----
    ``du/dt = N |u|^(2-2/N) (s - u)`` [1]_. N = 2 is the sigmoid
    s e^(2st) / (e^(2st) - 1 + s/u(0)). From N = 3 on, time as a function of strength is inverted
    by Newton's method in the logit of u/s. A relative error e of the start moves the end of the
    plateau by about e times its length: near it, for a plateau of T times the rise that follows,
    the strength is right to about T rounding errors.

    References
    ----------
    .. [1] A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of
       learning in deep linear neural networks", ICLR 2014. arXiv:1312.6120

    Examples
    --------
    >>> import pydlnet as dln
    >>> float(dln.theory.mode_strength(0.7, 2.0, 0.01, depth=2).round(7))
    0.1526577
    """
    n_layers = as_depth(depth)
    t = as_times(times, "times")
    s, u = as_modes(targets, starts)
    s, u, t = np.broadcast_arrays(s, u, t.reshape(t.shape + (1,) * s.ndim))
    if n_layers == 1:
        with np.errstate(under="ignore"):
            return u * np.exp(-t) - s * np.expm1(-t)
    sign = np.copysign(1.0, u)
    with np.errstate(under="ignore"):
        strength = regimes.strength(t, sign * s, np.abs(u), n_layers)
    return np.where((t == 0.0) | (u == 0.0) | (u == s), u, sign * strength)


def mode_time(
    strengths: ArrayLike, targets: ArrayLike, starts: ArrayLike, depth: float
) -> FloatArray:
    """Return the time that gradient flow takes to bring modes to given strengths.

    Parameters
    ----------
    strengths, targets, starts : array_like, broadcast against one another
        The strength u(t), the target s and the start u(0), of either sign.
    depth : int or math.inf
        The number N of layers, at least 1, or `math.inf`.

    Returns
    -------
    ndarray
        t, of the common shape; N t at infinite depth. Infinite where a strength is approached
        but never reached: the target itself, or 0.

    Raises
    ------
    ValueError, TypeError
        If a strength does not lie between its start and the limit of the mode, something is not
        finite, or the depth is not as described.

    Notes
    -----
    The integral of ``du / (N |u|^(2-2/N) (s - u))`` from u(0) to u(t) [1]_. For N = 2 it is
    ln[u (s - u(0)) / (u(0) (s - u))] / (2 s); for infinite depth, in N t,
    ln[u (s - u(0)) / (u(0) (s - u))] / s^2 + 1 / (s u(0)) - 1 / (s u).

    References
    ----------
    .. [1] A. Saxe, J. McClelland and S. Ganguli, ICLR 2014. arXiv:1312.6120

    Examples
    --------
    >>> import pydlnet as dln
    >>> float(dln.theory.mode_time(0.5, 1.0, 1e-9, depth=3).round(3))
    999.15
    """
    n_layers = as_depth(depth)
    goal = as_array(strengths, "strengths")
    s, u = as_modes(targets, starts)
    goal, s, u = broadcast(strengths=goal, targets=s, starts=u)
    limit = _limit(s, u, n_layers)
    _check_between(goal, u, limit)
    inside = (goal != u) & (goal != limit)
    time = np.where(goal == u, 0.0, np.inf)
    if inside.any():
        with np.errstate(under="ignore", over="ignore"):
            time[inside] = regimes.travel_time(goal[inside], s[inside], u[inside], n_layers)
    return time


def _limit(s: FloatArray, u: FloatArray, depth: float) -> FloatArray:
    """Return where modes end: at the target, or at 0 if they cannot change sign to reach it."""
    return s if depth == 1 else np.where(s * np.sign(u) > 0.0, s, 0.0)


def _check_between(goal: FloatArray, u: FloatArray, limit: FloatArray) -> None:
    outside = (goal < np.minimum(u, limit)) | (goal > np.maximum(u, limit))
    if outside.any():
        raise ValueError(
            "strengths: expected numbers between the start and the limit of their mode, got "
            f"{goal[outside][0]}, which is not between {u[outside][0]} and {limit[outside][0]}"
        )
