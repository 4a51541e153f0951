"""Convergence of gradient descent, certified before it runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .. import chain, metrics
from .._display import Shown
from .._validation import FloatArray, as_real, as_weights, widths_of
from ..problems import Problem
from .formulas import admit, describe, distance_to, largest_rate, power, round_up
from .squared_distance import SquaredDistance, as_squared_distance

__all__ = ["Certificate", "assess", "certificate"]

THEOREM_1 = "Arora, Cohen, Golowich & Hu 2019, arXiv:1810.02281, Theorem 1"


@dataclass(frozen=True, repr=False)
class Certificate(Shown):
    """Whether gradient descent from a start is proven to converge, and how fast.

    Attributes
    ----------
    widths : tuple of int
        (d_0, ..., d_N).
    balancedness : float
        Largest ||W_{j+1}^T W_{j+1} - W_j W_j^T||_F of the start; NaN if it is not known.
    balancedness_allowed : float
        The delta of the theorem, the largest balancedness that it admits; NaN without a margin.
    deficiency_margin : float
        c = sigma_min(Phi) - ||W - Phi||_F of the start; the theorem needs c > 0.
    learning_rate_allowed : float
        Largest learning rate that the theorem admits; NaN unless the certificate holds.
    target_norm : float
        ||Phi||_F.
    excess_loss : float
        Loss of the start above the smallest value.
    contraction_rate : float
        What the logarithm of the excess loss loses at least in a unit of time, the sum of the
        rates; NaN without a margin.
    reasons : tuple of str
        The conditions that fail, and by how much; empty if the certificate holds.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([1.2, 1.0]))
    >>> start = dln.init.balanced_from(np.diag([1.0, 0.8]), (2, 2, 2))
    >>> found = dln.theory.certificate(start, problem)
    >>> found.holds, found.depth, found.layer_norm_bound > 2
    (True, 2, True)
    >>> found.steps(found.learning_rate_allowed, accuracy=1e-6) > 10**6
    True
    >>> failing = dln.theory.certificate([np.eye(2), np.eye(2)], dln.TargetMatrix(-np.eye(2)))
    >>> failing.holds, failing.reasons[0].split(":")[0]
    (False, 'deficiency margin')
    """

    _shown_first: ClassVar[tuple[str, ...]] = ("holds",)

    widths: tuple[int, ...]
    balancedness: float
    balancedness_allowed: float
    deficiency_margin: float
    learning_rate_allowed: float
    target_norm: float
    excess_loss: float
    contraction_rate: float
    reasons: tuple[str, ...]

    @property
    def depth(self) -> int:
        """N, the number of layers."""
        return len(self.widths) - 1

    @property
    def holds(self) -> bool:
        """Whether all conditions on target and start are met."""
        return not self.reasons

    @property
    def layer_norm_bound(self) -> float:
        """(4 ||Phi||_F)^(1/N), which no layer's spectral norm exceeds (Lemma 2)."""
        return math.pow(4.0 * self.target_norm, 1.0 / self.depth)

    @property
    def end_to_end_norm_bound(self) -> float:
        """2 ||Phi||_F, which the spectral norm of W does not exceed (Lemma 2)."""
        return 2.0 * self.target_norm

    def contraction(self, learning_rate: float) -> float:
        """Return the factor by which a step shrinks the excess loss at least.

        Parameters
        ----------
        learning_rate : float
            Above 0 and at most `learning_rate_allowed`.

        Returns
        -------
        float
            1 - learning_rate `contraction_rate`, that is 1 - learning_rate c^(2 - 2/N) for a
            `TargetMatrix`; below 1 unless rounding takes it there.

        Raises
        ------
        ValueError
            If the certificate does not hold, or not for this rate.
        """
        return 1.0 - self._admit(learning_rate) * self.contraction_rate

    def steps(self, learning_rate: float, accuracy: float) -> int:
        """Return a number of steps after which the excess loss is at most `accuracy`.

        Parameters
        ----------
        learning_rate : float
            Above 0 and at most `learning_rate_allowed`.
        accuracy : float
            Above 0; in the units of the problem's loss, above its smallest value.

        Returns
        -------
        int
            ln(excess loss / accuracy) / (learning_rate `contraction_rate`), rounded up.

        Raises
        ------
        ValueError
            If the certificate does not hold, or not for this rate; if the number leaves the range
            of float64.
        """
        rate = self._admit(learning_rate)
        goal = as_real(accuracy, "accuracy", positive=True)
        if self.excess_loss <= goal:
            return 0
        logarithm = math.log(self.excess_loss) - math.log(goal)
        return round_up(logarithm / self.contraction_rate, rate)

    def _admit(self, learning_rate: float) -> float:
        return admit(learning_rate, self.learning_rate_allowed, self.reasons)

    def __str__(self) -> str:
        """Say what holds, or what does not."""
        return describe(
            THEOREM_1,
            self.reasons,
            {
                "deficiency margin": f"{self.deficiency_margin:.6g} (above 0)",
                "balancedness": f"{self.balancedness:.6g} "
                f"(at most {self.balancedness_allowed:.6g})",
                "learning rate allowed": f"{self.learning_rate_allowed:.6g}",
                "excess loss": f"{self.excess_loss:.6g}",
            },
        )


def certificate(weights: Sequence[ArrayLike], problem: Problem) -> Certificate:
    """Check the conditions under which gradient descent from a start converges linearly.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The start, W_1 first; all float64 or all float32.
    problem : Problem
        A `TargetMatrix`, or a `Regression` of power 2 on whitened inputs: all eigenvalues of
        X^T X / m alike. If they are not 1, or for reduction "sum", the loss is a multiple of the
        theorem's and rates are divided by that.

    Returns
    -------
    Certificate
        With the margin c of the start; `reasons` lists the conditions that fail.

    Raises
    ------
    ValueError, TypeError
        If the theorem does not apply to the problem's loss, or the layers are not finite matrices
        that fit it.

    Notes
    -----
    Theorem 1 of [1]_ for l = 1/2 ||W_N ... W_1 - Phi||_F^2: if the start has deficiency margin
    c > 0, ||W - Phi||_F <= sigma_min(Phi) - c, its layers are delta-balanced,
    ||W_{j+1}^T W_{j+1} - W_j W_j^T||_F <= delta, with

        delta = c^2 / (256 N^3 ||Phi||_F^(2(N-1)/N)),
        rate <= c^((4N-2)/N) / (6144 N^3 ||Phi||_F^((6N-4)/N)),

    then l falls by a factor of 1 - rate c^(2(N-1)/N) or more in every step, so that l <= epsilon
    after ln(l(0) / epsilon) / (rate c^(2(N-1)/N)) steps. A margin needs a target of full rank and
    hidden widths of at least min(d_0, d_N). The constants are small: rates of 1e-8 are usual, and
    far larger ones work in practice.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, "A convergence analysis of gradient descent
       for deep linear neural networks", ICLR 2019, Theorem 1. arXiv:1810.02281

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([1.2, 1.0]))
    >>> start = dln.init.balanced_from(np.diag([1.0, 0.8]), (2, 2, 2))
    >>> found = dln.theory.certificate(start, problem)
    >>> found.holds, round(found.deficiency_margin, 3)
    (True, 0.717)
    >>> dln.theory.certificate([np.eye(2), np.zeros((2, 2))], problem).holds
    False
    """
    distance = as_squared_distance(problem)
    layers = [layer.astype(np.float64) for layer in as_weights(weights)]
    widths = widths_of(layers)
    problem.check_shape(widths)
    with np.errstate(over="ignore", invalid="ignore"):
        gap = distance_to(chain.product(layers), distance.target)
        balancedness = metrics.balancedness(layers)
    # Layers so large that their imbalance overflows are not balanced, whatever comes out.
    return assess(distance, widths, gap, math.inf if math.isnan(balancedness) else balancedness)


def assess(
    distance: SquaredDistance, widths: tuple[int, ...], gap: float, balancedness: float
) -> Certificate:
    """Return the certificate of a start at the distance `gap` from the target.

    Parameters
    ----------
    distance : SquaredDistance
        The loss.
    widths : tuple of int
        (d_0, ..., d_N).
    gap : float
        ||W - Phi||_F.
    balancedness : float
        Of the start; NaN if it is not known, which is no reason against the certificate.

    Returns
    -------
    Certificate
        With NaN for what needs a margin if there is none.
    """
    depth = len(widths) - 1
    values = metrics.singular_values(distance.target)
    norm = distance_to(distance.target, np.zeros_like(distance.target))
    margin = float(values[-1]) - gap
    # What rounding leaves of a zero singular value; no margin can be told from 0 below that.
    noise = max(distance.target.shape) * float(np.finfo(np.float64).eps) * float(values[0])
    bottlenecks = _against_shapes(widths, values, noise)
    exists = margin > noise and not bottlenecks
    share = margin / norm if exists else math.nan
    delta = share**2 / (256.0 * depth**3) * power(norm, 2.0 / depth)
    rate = largest_rate(share, norm, depth) / distance.scale
    # At depth 1 the exponent is 0, and NaN to the power 0 would be 1.
    contraction = distance.scale * power(margin, 2.0 - 2.0 / depth) if exists else math.nan
    reasons = (
        *bottlenecks,
        *_against_margin(margin, float(values[-1]), gap, noise),
        *_against_imbalance(balancedness, delta),
        *_against_range(share, delta, rate, contraction),
    )
    return Certificate(
        widths,
        balancedness,
        delta,
        margin,
        math.nan if reasons else rate,
        norm,
        0.5 * distance.scale * gap * gap,
        contraction,
        reasons,
    )


def _against_shapes(widths: tuple[int, ...], values: FloatArray, noise: float) -> list[str]:
    reasons = []
    full = len(values)
    if min(widths) < full:
        reasons.append(
            f"widths: expected hidden widths of at least min(d_0, d_N) = {full}, got {min(widths)}"
        )
    rank = int(np.count_nonzero(values > noise))
    if rank < full:
        reasons.append(f"target: expected full rank {full}, got rank {rank}")
    return reasons


def _against_margin(margin: float, smallest: float, gap: float, noise: float) -> list[str]:
    if margin > noise:
        return []
    return [
        f"deficiency margin: expected above {noise:.3g} (0 and rounding), got {margin:.6g}: "
        f"||W - Phi||_F is {gap:.6g} and sigma_min(Phi) {smallest:.6g}"
    ]


def _against_imbalance(balancedness: float, allowed: float) -> list[str]:
    if math.isnan(allowed) or balancedness <= allowed or math.isnan(balancedness):
        return []
    return [
        f"balancedness: expected at most {allowed:.6g}, got {balancedness:.6g}, "
        f"{balancedness / allowed if allowed else math.inf:.3g} times that"
    ]


def _against_range(share: float, *numbers: float) -> list[str]:
    if math.isnan(share) or all(0.0 < number < math.inf for number in numbers):
        return []
    return ["margin and target: the bounds leave the range of float64"]
