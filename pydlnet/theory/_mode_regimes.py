"""Solutions of the mode equation for u >= 0, by the side of the target on which the start lies.

Arguments are arrays of one shape, checked before; depth is an integer >= 2 or infinity, where time
stands for N t. Travel times also know single layers, of any sign.
"""

import math

import numpy as np

from .._validation import FloatArray
from . import _mode_integrals as integrals


def strength(t: FloatArray, s: FloatArray, u: FloatArray, depth: float) -> FloatArray:
    """Return the strength at time t of modes with targets s that start at u."""
    result = _two_layers(t, s, u) if depth == 2 else _many_layers(t, s, u, depth)
    # What rounding, or a time or rate out of range, takes beyond the ends of the path.
    limit = np.maximum(s, 0.0)
    return np.clip(result, np.minimum(u, limit), np.maximum(u, limit))


def travel_time(goal: FloatArray, s: FloatArray, u: FloatArray, depth: float) -> FloatArray:
    """Return the time from u to `goal`, which lies strictly between u and the limit."""
    if depth == 1:
        return _single_layer_time(goal, s, u)
    sign = np.copysign(1.0, u)
    s, u, goal = sign * s, np.abs(u), np.abs(goal)
    p = _plateau_exponent(depth)
    log_unit = _log_n(depth) + (1.0 + p) * np.log(np.where(s == 0.0, 1.0, np.abs(s)))
    time = np.zeros(goal.shape)
    up, down, cross, zero = (s > 0.0) & (u < s), (s > 0.0) & (u > s), s < 0.0, s == 0.0
    if up.any():
        ends = _logit_below(s[up], u[up]), _logit_below(s[up], goal[up])
        time[up] = integrals.rise_time(p, *ends, log_unit[up])
    if down.any():
        ends = _logit_above(s[down], u[down]), _logit_above(s[down], goal[down])
        time[down] = integrals.fall_time(p, *ends, log_unit[down])
    if cross.any():
        log_s = np.log(-s[cross])
        ends = np.log(u[cross]) - log_s, np.log(goal[cross]) - log_s
        time[cross] = integrals.decay_time(p, *ends, log_unit[cross])
    if zero.any():
        k = 1.0 + p
        ratio = -np.expm1(k * np.log(goal[zero] / u[zero]))
        time[zero] = ratio * np.exp(-k * np.log(goal[zero]) - log_unit[zero]) / k
    return time


def _single_layer_time(goal: FloatArray, s: FloatArray, u: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.abs(s - u) / np.abs(s - goal)
        return np.where(
            np.isfinite(ratio), np.log(ratio), _log_distance(s, u) - _log_distance(s, goal)
        )


def _log_distance(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return ln |x - y|, also where the difference leaves the range of numbers."""
    distance = np.abs(x - y)
    quarter = np.abs(0.25 * x - 0.25 * y)
    return np.where(np.isfinite(distance), np.log(distance), np.log(quarter) + math.log(4.0))


def _two_layers(t: FloatArray, s: FloatArray, u: FloatArray) -> FloatArray:
    """Solve du/dt = 2 u (s - u), u >= 0: 1/u satisfies a linear equation."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        x = 2.0 * s * t
        decay = np.exp(-np.abs(x))
        gain = np.where(np.abs(x) < 1e-300, 2.0 * t, -np.expm1(-np.abs(x)) / np.abs(s))
        before, after = np.where(s > 0.0, decay, 1.0), np.where(s > 0.0, 1.0, decay)
        inverse = before / u
        result: FloatArray = np.where(
            np.isfinite(inverse), after / (inverse + gain), u * after / (before + u * gain)
        )
    return result


def _many_layers(t: FloatArray, s: FloatArray, u: FloatArray, depth: float) -> FloatArray:
    """Solve the mode equation for depth > 2 and u >= 0, by the side on which the start lies."""
    result = np.zeros(t.shape)
    p = _plateau_exponent(depth)
    moving = (t > 0.0) & (u > 0.0)
    for side, solve in (
        (moving & (s > 0.0) & (u < s), _rising_strength),
        (moving & (s > 0.0) & (u > s), _falling_strength),
        (moving & (s < 0.0), _decaying_strength),
        (moving & (s == 0.0), _vanishing_strength),
    ):
        if side.any():
            result[side] = solve(p, s[side], u[side], np.log(t[side]) + _log_n(depth))
    return result


def _rising_strength(p: float, s: FloatArray, u: FloatArray, log_t: FloatArray) -> FloatArray:
    logit = integrals.rise(p, _logit_below(s, u), log_t + (1.0 + p) * np.log(s))
    log_v = -integrals.softplus(-logit)
    return np.where(log_v > -1.0, s * np.exp(log_v), np.exp(np.log(s) + log_v))


def _falling_strength(p: float, s: FloatArray, u: FloatArray, log_t: FloatArray) -> FloatArray:
    logit = integrals.fall(p, _logit_above(s, u), log_t + (1.0 + p) * np.log(s))
    return np.exp(np.log(s) + integrals.softplus(-logit))


def _decaying_strength(p: float, s: FloatArray, u: FloatArray, log_t: FloatArray) -> FloatArray:
    log_s = np.log(-s)
    log_v = integrals.decay(p, np.log(u) - log_s, log_t + (1.0 + p) * log_s)
    return np.exp(log_s + log_v)


def _vanishing_strength(p: float, _: FloatArray, u: FloatArray, log_t: FloatArray) -> FloatArray:
    """Solve du/dt = -N u^(3-2/N)."""
    k = 1.0 + p
    return np.exp(np.log(u) - integrals.softplus(math.log(k) + log_t + k * np.log(u)) / k)


def _logit_below(s: FloatArray, u: FloatArray) -> FloatArray:
    return np.log(u) - np.log(s - u)


def _logit_above(s: FloatArray, u: FloatArray) -> FloatArray:
    return np.log(s) - np.log(u - s)


def _plateau_exponent(depth: float) -> float:
    return 1.0 if math.isinf(depth) else (depth - 2.0) / depth


def _log_n(depth: float) -> float:
    return 0.0 if math.isinf(depth) else math.log(depth)
