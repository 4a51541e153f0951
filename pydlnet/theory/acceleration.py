"""Depth as acceleration: regression with the p-th power of two residuals of different size.

The loss is (|w_1 - y_1|^p + |w_2 - y_2|^p) / p with y_1 much larger than y_2 > 0. Descent of w by
itself needs a rate below 2 / y_1^(p-2), as w_1 starts y_1 away; with that rate w_2 hardly moves if
p > 2, long after w_1 has arrived. Behind N layers the rate of both grows with |w_1|: it is small as
long as w_1 is far from y_1, and large where w_2 needs it.
"""

import math

from .._validation import as_count, as_real

__all__ = ["lp_largest_rate", "lp_speedup"]


def lp_largest_rate(depth: int, power: float, target: float = 1.0) -> float:
    """Return the largest rate at which the larger residual shrinks all the way.

    Parameters
    ----------
    depth : int
        N, at least 1.
    power : float
        p, at least 2.
    target : float, default 1
        y_1, above 0.

    Returns
    -------
    float
        2 / max N x^(2-2/N) (y_1 - x)^(p-2) over 0 <= x <= y_1.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or the rate leaves the range of float64.

    Notes
    -----
    From a balanced start near 0 the end-to-end vector is soon w_1 e_1, and one step multiplies
    w_1 - y_1 by 1 - rate N w_1^(2-2/N) (y_1 - w_1)^(p-2) by Claim 2 of [1]_; the maximum is at
    x = y_1 (2-2/N) / (p-2/N). This is where linear stability of the rule ends. Descent of layers
    can fail a little below it: half of it is a safe choice.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.lp_largest_rate(1, 4, target=2.0), dln.theory.lp_largest_rate(2, 4)
    (0.5, 6.75)
    """
    n_layers = as_count(depth, "depth", 1)
    p = as_real(power, "power", minimum=2.0)
    y = as_real(target, "target", positive=True)
    try:  # the maximum is y^(p-2/N) times that for y = 1
        rate = 2.0 / (n_layers * _maximum(n_layers, p)) / math.pow(y, p - 2.0 / n_layers)
    except (OverflowError, ZeroDivisionError):
        rate = math.inf
    if not 0.0 < rate < math.inf:
        raise ValueError(f"target: expected a largest rate in the range of float64, got {y}")
    return rate


def lp_speedup(depth: int, power: float) -> float:
    """Return how many times larger steps depth allows the smaller residual to take.

    Parameters
    ----------
    depth : int
        N, at least 1.
    power : float
        p, at least 2.

    Returns
    -------
    float
        R(N, p) = (p-2/N)^(p-2/N) / (N (2-2/N)^(2-2/N) (p-2)^(p-2)), with 0^0 = 1.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or the ratio leaves the range of float64.

    Notes
    -----
    Once w_1 = y_1, a step multiplies w_2 - y_2 by ``1 - rate y_1^(2-2/N) |w_2 - y_2|^(p-2)`` by
    Claim 2 of [1]_. R compares rate y_1^(2-2/N) with that of depth 1, each at its
    `lp_largest_rate`, and does not depend on the targets. R(N, 2) = 1/N: no acceleration for the
    squared loss, as [1]_ finds, whereas R(2, 4) = 27/8. For p > 2 the residual's inverse (p-2)-th
    power grows by about (p-2) times that in each step, so R is also the ratio of steps to a small
    loss, if it is w_2 that takes them. The constant is derived from the rule of [1]_, not taken
    from there.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> [round(dln.theory.lp_speedup(depth, 4), 3) for depth in (1, 2, 3)]
    [1.0, 3.375, 3.142]
    """
    n_layers = as_count(depth, "depth", 1)
    p = as_real(power, "power", minimum=2.0)
    maximum = _maximum(n_layers, p)
    if maximum == 0.0:
        raise ValueError(f"power: expected a ratio in the range of float64, got {p}")
    return 1.0 / (n_layers * maximum)


def _maximum(depth: int, power: float) -> float:
    """Return the maximum of x^a (1 - x)^b over 0 <= x <= 1, a = 2 - 2/N, b = p - 2."""
    a, b = 2.0 - 2.0 / depth, power - 2.0
    if a == 0.0 or b == 0.0:
        return 1.0
    x = a / (a + b)
    return math.exp(b * math.log1p(-x)) * math.pow(x, a)
