"""The integrals behind the N-layer mode equation, and their inverses.

With v = u / |s| the equation du/dt = N u^(2-2/N) (s - u) is separable: a rescaled time tau is an
integral over v of v^(-1-p) / (1 -+ v), p = 1 - 2/N in (0, 1]. Below the target the coordinate is
the logit of v, above it that of 1/v, and for a target of the other sign ln v: starts of 1e-300
and plateaus of 1e200 time units are ordinary numbers there. This module knows nothing of
arguments or signs; `modes` does.
"""

import math
from collections.abc import Callable

import numpy as np

from .._validation import FloatArray

# Every integral is a power series on [0, 1/2], where 54 terms reach the last bit, and a
# Gauss-Legendre rule on the rest, whose nearest singularity is 3 interval lengths away.
_N_TERMS = 54
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(16)
_LOG_2 = math.log(2.0)

# Newton's method below is monotone after its first step and needs about ten.
_MAX_ITERATIONS = 60


def softplus(x: FloatArray) -> FloatArray:
    """Return ln(1 + e^x) without overflow."""
    result: FloatArray = np.logaddexp(0.0, x)
    return result


def rise(p: float, logit: FloatArray, log_tau: FloatArray) -> FloatArray:
    """Follow d logit / d tau = v^p from `logit` for the time exp(log_tau)."""
    # Far below the target -Q is huge and its logarithm is what the start and the time share.
    with np.errstate(over="ignore"):
        start = _rise_integral(p, logit)
    deep = start < -8.0
    log_start = _log_rise_depth(p, np.where(deep, logit, -3000.0))
    with np.errstate(over="ignore", divide="ignore"):
        ratio = np.exp(log_tau - log_start)
        log_left = log_start + np.log(np.abs(1.0 - ratio))
        left = np.where(
            deep,
            np.copysign(np.exp(log_left), ratio - 1.0),
            np.where(deep, 0.0, start) + np.exp(log_tau),
        )
    still_deep = deep & (left < -8.0)
    result = np.empty(logit.shape)
    result[still_deep] = _invert_deep_rise(p, log_left[still_deep])
    result[~still_deep] = _invert_rise(p, np.clip(left[~still_deep], -8.0, 1e300))
    return result


def rise_time(p: float, start: FloatArray, end: FloatArray, log_unit: FloatArray) -> FloatArray:
    """Return the time, over exp(log_unit), between two logits below the target."""
    log_start, log_end = -softplus(-start), -softplus(-end)
    q = 1.0 - p
    plateau = np.exp(-p * log_start - log_unit) * _power_integral(-p, log_end - log_start)
    first = np.exp(q * log_end) * _power_integral(-q, log_end - log_start)
    rest = first + _open_integral(q, end) - _open_integral(q, start)
    return plateau + np.exp(-log_unit) * rest


def fall(p: float, logit: FloatArray, log_tau: FloatArray) -> FloatArray:
    """Follow the logit of z = s/u, d logit / d tau = z^(-1-p), for the time exp(log_tau)."""
    log_integral = np.logaddexp(_log_open_integral(p, logit), log_tau)
    near = log_integral > math.log(0.25)
    result = np.empty(logit.shape)
    result[near] = _invert_fall(p, np.exp(np.minimum(log_integral[near], 690.0)))
    result[~near] = _invert_deep_fall(p, log_integral[~near])
    return result


def fall_time(p: float, start: FloatArray, end: FloatArray, log_unit: FloatArray) -> FloatArray:
    """Return the time, over exp(log_unit), between two logits of s/u above the target."""
    log_start, log_end = _log_open_integral(p, start), _log_open_integral(p, end)
    with np.errstate(under="ignore"):
        return np.exp(log_end - log_unit) * -np.expm1(log_start - log_end)


def decay(p: float, log_v: FloatArray, log_tau: FloatArray) -> FloatArray:
    """Follow d ln v / d tau = -v^p (1 + v), the target having the other sign."""
    wanted = np.logaddexp(_log_decay_integral(p, log_v), log_tau)
    return _newton(
        log_v,
        lambda x: wanted - _log_decay_integral(p, x),
        lambda x: np.exp(-p * x - softplus(x) - _log_decay_integral(p, x)),
    )


def decay_time(p: float, start: FloatArray, end: FloatArray, log_unit: FloatArray) -> FloatArray:
    """Return the time, over exp(log_unit), between two ln v with a target of the other sign."""
    log_start, log_end = _log_decay_integral(p, start), _log_decay_integral(p, end)
    with np.errstate(under="ignore"):
        return np.exp(log_end - log_unit) * -np.expm1(log_start - log_end)


def _newton(
    x: FloatArray,
    function: Callable[[FloatArray], FloatArray],
    slope: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Find the root of an increasing function, every entry for itself."""
    for _ in range(_MAX_ITERATIONS):
        step = function(x) / slope(x)
        x = x - step
        if np.all(np.abs(step) <= 4e-16 * np.maximum(1.0, np.abs(x))):
            break
    return x


# -- Below the target: Q = the integral of (1 + e^-x)^p, ~ -e^(-p x) / p left, ~ x right --


def _rise_integral(p: float, logit: FloatArray) -> FloatArray:
    return -np.exp(p * softplus(-logit)) / p + _rise_rest(p, logit)


def _rise_rest(p: float, logit: FloatArray) -> FloatArray:
    q = 1.0 - p
    return _power_integral(q, -softplus(-logit)) + _open_integral(q, logit)


def _log_rise_depth(p: float, logit: FloatArray) -> FloatArray:
    """Return ln(-Q) where Q < 0."""
    log_v = -softplus(-logit)
    rest = p * np.exp(p * log_v) * _rise_rest(p, logit)
    return -p * log_v - math.log(p) + np.log1p(-rest)


def _invert_deep_rise(p: float, log_depth: FloatArray) -> FloatArray:
    return _newton(
        -(log_depth + math.log(p)) / p,
        lambda x: log_depth - _log_rise_depth(p, x),
        lambda x: np.exp(p * softplus(-x) - _log_rise_depth(p, x)),
    )


def _invert_rise(p: float, value: FloatArray) -> FloatArray:
    # Q - x increases to its limit, so this guess lies below the solution of a concave function.
    limit = _rise_integral(p, np.array(50.0)) - 50.0
    return _newton(
        value - limit,
        lambda x: _rise_integral(p, x) - value,
        lambda x: np.exp(p * softplus(-x)),
    )


# -- Above the target, by z = s/u: the integral of z^p / (1 - z) from 0 to z --
# Both guesses lie above the solution, where the functions are convex and concave.


def _invert_fall(p: float, value: FloatArray) -> FloatArray:
    limit = _open_integral(p, np.array(50.0)) - 50.0
    return _newton(
        value - limit,
        lambda x: _open_integral(p, x) - value,
        lambda x: np.exp(-(1.0 + p) * softplus(-x)),
    )


def _invert_deep_fall(p: float, log_value: FloatArray) -> FloatArray:
    log_z = (log_value + math.log1p(p)) / (1.0 + p)
    return _newton(
        log_z - np.log(-np.expm1(log_z)),
        lambda x: _log_open_integral(p, x) - log_value,
        lambda x: np.exp(-(1.0 + p) * softplus(-x) - _log_open_integral(p, x)),
    )


# -- A target of the other sign: the integral of v^(-1-p) / (1 + v) from v to infinity --


def _log_decay_integral(p: float, log_v: FloatArray) -> FloatArray:
    large, small = np.maximum(log_v, 0.0), np.minimum(log_v, 0.0)
    q = 1.0 - p
    low = np.minimum(-large, -_LOG_2)
    tail = (1.0 + p) * low + np.log(_series(p, -np.exp(low)))
    extra = _gauss(
        lambda x: np.exp((1.0 + p) * x) / (1.0 + np.exp(x)),
        np.full_like(large, -_LOG_2),
        np.maximum(-large, -_LOG_2),
    )
    # Beyond v = 2 there is nothing extra; up to there the tail is of order one.
    log_large = tail + np.log1p(extra * np.exp(-np.maximum(tail, -10.0)))
    rest = (
        _power_integral(q, small) + _closed_integral(q, np.zeros(())) - _closed_integral(q, small)
    )
    at_one = np.exp(np.where(log_v < 0.0, log_large, 0.0))  # the integral from 1 on
    log_small = -p * small + np.log(
        -_power_integral(p, small) + np.exp(p * small) * (at_one + rest)
    )
    return np.where(log_v >= 0.0, log_large, log_small)


def _closed_integral(a: float, log_v: FloatArray) -> FloatArray:
    """Return the integral of s^a / (1 + s) from 0 to v <= 1."""
    low = np.minimum(log_v, -_LOG_2)
    return np.exp((1.0 + a) * low) * _series(a, -np.exp(low)) + _gauss(
        lambda x: np.exp((1.0 + a) * x) / (1.0 + np.exp(x)),
        np.full_like(low, -_LOG_2),
        np.maximum(log_v, -_LOG_2),
    )


# -- What all of them share --


def _open_integral(a: float, logit: FloatArray) -> FloatArray:
    """Return the integral of s^a / (1 - s) from 0 to v, 0 <= a <= 1, by the logit of v."""
    return np.exp(_log_low_integral(a, logit)) + _high_integral(a, logit)


def _log_open_integral(a: float, logit: FloatArray) -> FloatArray:
    low, high = _log_low_integral(a, logit), _high_integral(a, logit)
    # The second part is zero up to v = 1/2; beyond it the first is of order one.
    return low + np.log1p(high * np.exp(-np.maximum(low, -10.0)))


def _log_low_integral(a: float, logit: FloatArray) -> FloatArray:
    log_v = -softplus(-np.minimum(logit, 0.0))
    return (1.0 + a) * log_v + np.log(_series(a, np.exp(log_v)))


def _high_integral(a: float, logit: FloatArray) -> FloatArray:
    """Return the integral from 1/2 to v, zero below 1/2; only its logarithm is singular."""
    right = np.maximum(logit, 0.0)
    regular = _gauss(
        lambda r: np.expm1(-a * r) / np.expm1(-r) * np.exp(-r),
        softplus(-right),
        np.full_like(right, _LOG_2),
    )
    return softplus(right) - _LOG_2 - regular


def _power_integral(a: float, width: FloatArray) -> FloatArray:
    """Return the integral of e^(a x) from 0 to `width`."""
    if a == 0.0:
        return width
    with np.errstate(over="ignore"):
        return np.expm1(a * width) / a


def _series(a: float, x: FloatArray) -> FloatArray:
    """Return sum_k x^k / (k + 1 + a) for |x| <= 1/2."""
    total = np.zeros_like(x)
    for k in reversed(range(_N_TERMS)):
        total = total * x + 1.0 / (k + 1.0 + a)
    return total


def _gauss(
    function: Callable[[FloatArray], FloatArray], left: FloatArray, right: FloatArray
) -> FloatArray:
    """Integrate a smooth function between arrays of limits."""
    half, middle = 0.5 * (right - left), 0.5 * (right + left)
    total = np.zeros_like(half)
    for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
        total = total + weight * function(middle + node * half)
    return half * total
