"""Gradient descent beyond the edge of stability: balanced modes on a cycle of two steps.

A mode of strength s, shared by N equal layers of strength rho, moves by
rho <- rho + learning_rate (s - rho^N) rho^(N-1). The minimum rho^N = s is stable up to the rate
2 / (N s^(2-2/N)); beyond it, descent settles on a cycle around it.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_array, as_count
from ._arguments import broadcast

__all__ = ["stability_limit", "two_cycle", "two_cycle_limit", "two_cycle_multiplier"]

_BISECTIONS = 80


def stability_limit(targets: ArrayLike, depth: int) -> FloatArray:
    """Return the learning rate beyond which gradient descent leaves a balanced minimum.

    Parameters
    ----------
    targets : array_like
        Strengths of the target's modes, above 0.
    depth : int
        The number N of layers, at least 1.

    Returns
    -------
    ndarray, shape targets.shape
        2 / (N s^(2-2/N)): the mode oscillates beyond it, whatever the others do.

    Raises
    ------
    ValueError, TypeError
        If a strength is not above 0 or not finite, or the depth is not as described.

    Notes
    -----
    N s^(2-2/N) is the Hessian's eigenvalue along the mode, for 1/2 ||W - target||_F^2 [1]_.

    References
    ----------
    .. [1] A. Ghosh, S. Kwon, R. Wang, S. Ravishankar and Q. Qu, "Learning dynamics of deep matrix
       factorization beyond the edge of stability", ICLR 2025. arXiv:2502.20531

    Examples
    --------
    >>> import pydlnet as dln
    >>> float(dln.theory.stability_limit(4.0, 2))
    0.25
    """
    strength = _as_strengths(targets)
    n_layers = as_count(depth, "depth", 1)
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(_log_edge(n_layers) - _power(n_layers) * np.log(strength))


def two_cycle(
    targets: ArrayLike, learning_rate: ArrayLike, depth: int
) -> tuple[FloatArray, FloatArray]:
    """Return the two layer strengths between which gradient descent alternates.

    Parameters
    ----------
    targets : array_like
        Strengths s of the target's modes, above 0.
    learning_rate : array_like, broadcast against targets
        Above `stability_limit`.
    depth : int
        The number N of layers, at least 2.

    Returns
    -------
    low, high : ndarray, of the common shape
        The strengths of each layer: 0 < low < s^(1/N) < high < (2 s)^(1/N). Attracting up to
        `two_cycle_limit`, beside modes that are within their own limits. Just beyond the
        stability limit their distance is the square root of a small difference, and only as
        accurate as that.

    Raises
    ------
    ValueError, TypeError
        If a learning rate is at the stability limit or below it, something is not finite or above
        0, or the depth is not as described.

    Notes
    -----
    Both steps multiply: high = z low, low = high / z with
    z - 1 = learning_rate (s - low^N) low^(N-2) and low^N (1 + z^(2N-1)) / (1 + z^(N-1)) = s [1]_
    (whose learning rate is scaled differently). Elimination of low leaves learning_rate
    s^(2-2/N) as an increasing function of z. For N = 2, with x = learning_rate s, the squares are
    s + [(1 - x) -+ sqrt((x - 1) (x + 3))] / (2 learning_rate).

    References
    ----------
    .. [1] A. Ghosh, S. Kwon, R. Wang, S. Ravishankar and Q. Qu, ICLR 2025, Theorem 1.
       arXiv:2502.20531

    Examples
    --------
    >>> import pydlnet as dln
    >>> low, high = dln.theory.two_cycle(1.0, 1.2, 2)
    >>> float((low * high).round(12)) == round(1 / 1.2, 12)
    True
    """
    strength, rate, n_layers = _as_cycles(targets, learning_rate, depth)
    log_z = _log_ratio(np.log(rate) + _power(n_layers) * np.log(strength), n_layers)
    log_low = (np.log(strength) + _log_low_power(log_z, n_layers)) / n_layers
    return np.exp(log_low), np.exp(log_low + log_z)


def two_cycle_multiplier(targets: ArrayLike, learning_rate: ArrayLike, depth: int) -> FloatArray:
    """Return by how much a turn of the two-cycle multiplies a small distance from it.

    Parameters
    ----------
    targets : array_like
        Strengths s of the target's modes, above 0.
    learning_rate : array_like, broadcast against targets
        Above `stability_limit`.
    depth : int
        The number N of layers, at least 2.

    Returns
    -------
    ndarray, of the common shape
        1 at the stability limit and falling; the cycle attracts while it is above -1. For N = 2
        it is 9 - 2 (1 + learning_rate s)^2.

    Raises
    ------
    ValueError, TypeError
        As `two_cycle`.

    Notes
    -----
    The product of both slopes of the map of a layer's strength, all layers being equal.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.two_cycle_multiplier([1.0], [1.1, 1.2], depth=2).round(6)
    array([ 0.18, -0.68])
    """
    strength, rate, n_layers = _as_cycles(targets, learning_rate, depth)
    log_gain = np.log(rate) + _power(n_layers) * np.log(strength)
    return _multiplier(_log_ratio(log_gain, n_layers), n_layers)


def two_cycle_limit(targets: ArrayLike, depth: int) -> FloatArray:
    """Return the learning rate at which the two-cycle itself loses stability.

    Parameters
    ----------
    targets : array_like
        Strengths s of the target's modes, above 0.
    depth : int
        The number N of layers, at least 2.

    Returns
    -------
    ndarray, shape targets.shape
        Where `two_cycle_multiplier` is -1 and the period doubles: (sqrt(5) - 1) / s for N = 2,
        1.24 to 1.26 times the stability limit beyond.

    Raises
    ------
    ValueError, TypeError
        If a strength is not above 0 or not finite, or the depth is not as described.

    Examples
    --------
    >>> import pydlnet as dln
    >>> float(dln.theory.two_cycle_limit(1.0, 2).round(6))
    1.236068
    """
    strength = _as_strengths(targets)
    n_layers = as_count(depth, "depth", 2)
    log_z = _bisect(
        lambda w: -1.0 - _multiplier(w, n_layers), np.zeros(1), np.full(1, 2.0 / n_layers)
    )
    log_gain = float(_log_gain(log_z, n_layers)[0])
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(log_gain - _power(n_layers) * np.log(strength))


def _power(depth: int) -> float:
    return 2.0 - 2.0 / depth


def _log_edge(depth: int) -> float:
    return math.log(2.0 / depth)


def _log_gain(w: FloatArray, depth: int) -> FloatArray:
    """Return ln(learning_rate s^(2-2/N)) of the cycle with high / low = e^w, w > 0."""
    n = depth
    # z - 1 over 1 - low^N / s = z^(N-1) (z^N - 1) / (1 + z^(2N-1)), and over (low^N / s)^(1-2/N).
    ratio = np.log(np.expm1(-w) / np.expm1(-n * w)) - 2 * (n - 1) * w
    result: FloatArray = ratio + _softplus((2 * n - 1) * w) - (1.0 - 2.0 / n) * _log_low_power(w, n)
    return result


def _log_low_power(w: FloatArray, depth: int) -> FloatArray:
    """Return ln(low^N / s)."""
    return _softplus((depth - 1) * w) - _softplus((2 * depth - 1) * w)


def _softplus(x: FloatArray) -> FloatArray:
    result: FloatArray = np.logaddexp(0.0, x)
    return result


def _log_ratio(log_gain: FloatArray, depth: int) -> FloatArray:
    """Return ln(high / low) of the cycle with a given ln(learning_rate s^(2-2/N))."""
    # The gain grows like z^(N-1) and is never far below that.
    right = 2.0 + np.maximum(log_gain, 0.0) / (depth - 1)
    return _bisect(lambda w: _log_gain(w, depth) - log_gain, np.zeros(log_gain.shape), right)


def _multiplier(w: FloatArray, depth: int) -> FloatArray:
    n = depth
    low = _log_low_power(w, n)
    gain = _log_gain(w, n)
    with np.errstate(over="ignore", under="ignore"):
        slopes = [
            1.0 + np.exp(gain + (1.0 - 2.0 / n) * power) * (n - 1 - (2 * n - 1) * np.exp(power))
            for power in (low, low + n * w)
        ]
        product: FloatArray = slopes[0] * slopes[1]
    return product


def _bisect(
    function: Callable[[FloatArray], FloatArray], left: FloatArray, right: FloatArray
) -> FloatArray:
    """Return the root of an increasing function between left and right, entry by entry."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (left + right)
        below = function(middle) < 0.0
        left, right = np.where(below, middle, left), np.where(below, right, middle)
    return 0.5 * (left + right)


def _as_strengths(targets: ArrayLike) -> FloatArray:
    strength = as_array(targets, "targets")
    if (strength <= 0.0).any():
        raise ValueError(f"targets: expected numbers > 0, got {strength[strength <= 0.0][0]}")
    return strength


def _as_cycles(
    targets: ArrayLike, learning_rate: ArrayLike, depth: int
) -> tuple[FloatArray, FloatArray, int]:
    strength, rate = broadcast(
        targets=_as_strengths(targets), learning_rate=as_array(learning_rate, "learning_rate")
    )
    n_layers = as_count(depth, "depth", 2)
    limit = stability_limit(strength, n_layers)
    stable = rate <= limit
    if stable.any():
        raise ValueError(
            f"learning_rate: expected rates above the stability limit {limit[stable][0]:g} of "
            f"the target {strength[stable][0]:g}, got {rate[stable][0]:g}"
        )
    return strength, rate, n_layers
