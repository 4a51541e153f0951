"""Two layers with one output, read as descent with an adaptive rate and momentum.

With w = w_2 w_1, a number times a vector, one step of gradient descent on both is

    w(t+1) = w(t) - rho(t) g(t) - gamma(t) w(t) + rate^2 w_2 <g, w_1> g,    g = grad L(w(t)),

and as w(t) is itself a sum of earlier gradients, -gamma(t) w(t) is a momentum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from .._display import Shown
from .._validation import FloatArray, as_array, as_real, as_weights, freeze, widths_of
from ..problems import Problem
from ._arguments import as_gradient

__all__ = ["TwoLayerStep", "momentum_coefficients", "two_layer_step"]


@dataclass(frozen=True, eq=False, repr=False)
class TwoLayerStep(Shown):
    """The parts of a step of w = w_2 w_1: their sum is w(t+1) - w(t).

    Attributes
    ----------
    adaptive_rate : float
        rho = rate w_2^2, what the gradient is multiplied by.
    forgetting : float
        gamma = rate <g, w_1> / w_2, the share of w that is lost; below 0 where w grows, which is
        where earlier gradients are added on.
    gradient_part : ndarray, shape (1, d_0)
        -rho g.
    momentum_part : ndarray, shape (1, d_0)
        -gamma w.
    remainder : ndarray, shape (1, d_0)
        rate^2 w_2 <g, w_1> g, which the reading leaves out.

    Examples
    --------
    >>> import pydlnet as dln
    >>> step = dln.theory.two_layer_step([[[2.0, 0.0]], [[2.0]]], [[-1.0, -1.0]], 0.01)
    >>> (step.gradient_part + step.momentum_part + step.remainder).round(9)  # all of the step
    array([[0.0804, 0.0404]])
    """

    adaptive_rate: float
    forgetting: float
    gradient_part: FloatArray = field(repr=False)
    momentum_part: FloatArray = field(repr=False)
    remainder: FloatArray = field(repr=False)


def two_layer_step(
    weights: Sequence[ArrayLike], problem: Problem | ArrayLike, learning_rate: float
) -> TwoLayerStep:
    """Split a step of gradient descent on a vector times a number.

    Parameters
    ----------
    weights : sequence of array_like
        Two layers: w_1 of shape (1, d_0) and w_2 of shape (1, 1), which is not 0.
    problem : Problem or array_like, shape (1, d_0)
        What is minimised, or its gradient g at w.
    learning_rate : float
        At least 0.

    Returns
    -------
    TwoLayerStep
        Adaptive rate, momentum and what is of second order in the rate.

    Raises
    ------
    ValueError, TypeError
        If there are not two such layers, w_2 is 0, an argument is not as above, or a part leaves
        the range of float64.

    Notes
    -----
    Section 5 of [1]_, for the squared or any other loss; the split is exact with its remainder.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> step = dln.theory.two_layer_step([[[2.0, 0.0]], [[2.0]]], [[-1.0, -1.0]], 0.01)
    >>> step.adaptive_rate, step.forgetting, step.momentum_part
    (0.04, -0.01, array([[0.04, 0.  ]]))
    """
    layers = [layer.astype(np.float64) for layer in as_weights(weights)]
    widths = widths_of(layers)
    if len(widths) != 3 or widths[1:] != (1, 1):
        raise ValueError(
            f"weights: expected two layers of widths (d_0, 1, 1), got {widths}: the reading as "
            "momentum does not apply"
        )
    vector, number = layers[0], float(layers[1][0, 0])
    if number == 0.0:
        raise ValueError("weights: expected a second layer other than 0, whose inverse is taken")
    rate = as_real(learning_rate, "learning_rate", minimum=0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        gradient = as_gradient(problem, number * vector)
        along = float(np.vdot(gradient, vector))
        adaptive_rate, forgetting = rate * (number * number), rate * along / number
        parts = (
            -adaptive_rate * gradient,
            -(rate * along) * vector,
            rate * rate * number * along * gradient,
        )
    _check_range("weights", adaptive_rate, forgetting, *parts)
    return TwoLayerStep(adaptive_rate, forgetting, *(freeze(part) for part in parts))


def momentum_coefficients(adaptive_rates: ArrayLike, forgettings: ArrayLike) -> FloatArray:
    """Return what earlier gradients count in the last step.

    Parameters
    ----------
    adaptive_rates, forgettings : array_like, shape (t + 1,)
        rho(0), ..., rho(t) and gamma(0), ..., gamma(t) of the steps so far.

    Returns
    -------
    ndarray, shape (t,)
        mu(t, tau) = -gamma(t) rho(tau) prod_{tau < s < t} (1 - gamma(s)) for tau = 0, ..., t - 1.

    Raises
    ------
    ValueError, TypeError
        If the arguments are not two sequences of one length, at least 1, or a coefficient leaves
        the range of float64.

    Notes
    -----
    With them w(t+1) = w(t) - rho(t) g(t) - sum_tau mu(t, tau) g(tau) from a start at w(0) = 0, up
    to multiples of the rate squared [1]_; another start adds
    -gamma(t) prod_{s < t} (1 - gamma(s)) w(0).

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018, Section 5. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.momentum_coefficients([0.1, 0.2, 0.3], [0.0, -0.5, -1.0])
    array([0.15, 0.2 ])
    """
    rho = as_array(adaptive_rates, "adaptive_rates", 1)
    gamma = as_array(forgettings, "forgettings", 1)
    if rho.shape != gamma.shape or rho.size == 0:
        raise ValueError(
            f"forgettings: expected as many numbers as adaptive_rates, at least 1, got {gamma.size}"
            f" beside {rho.size}"
        )
    # The product over the steps after tau, up to the one before the last.
    with np.errstate(over="ignore", invalid="ignore"):
        kept = np.append(np.cumprod((1.0 - gamma[1:-1])[::-1])[::-1], 1.0)
        coefficients: FloatArray = -gamma[-1] * rho[:-1] * kept[: rho.size - 1]
    _check_range("forgettings", coefficients)
    return coefficients


def _check_range(name: str, *results: float | FloatArray) -> None:
    """Raise unless all are finite."""
    if not all(np.isfinite(result).all() for result in results):
        raise ValueError(f"{name}: expected numbers whose products stay in the range of float64")
