"""How likely a random start meets the conditions of the convergence theorem."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

from .._display import Shown
from .._validation import as_real, as_widths
from ..problems import Problem
from .formulas import admit, describe, distance_to, largest_rate, power, round_up
from .squared_distance import as_squared_distance

__all__ = ["BalancedStartCertificate", "balanced_probability", "balanced_start_certificate"]

THEOREM_2 = "Arora, Cohen, Golowich & Hu 2019, arXiv:1810.02281, Theorem 2"


@dataclass(frozen=True, repr=False)
class BalancedStartCertificate(Shown):
    """How gradient descent converges from a random balanced start, and how likely.

    Attributes
    ----------
    widths : tuple of int
        (d_0, ..., d_N), with d_N = 1.
    scale : float
        Standard deviation s of the entries of the end-to-end matrix.
    deficiency_margin : float
        c = s^2 d_0 / (2 ||Phi||), the margin that the start has with `probability` or more.
    probability : float
        Lower bound; 0 if the theorem promises nothing.
    learning_rate_allowed : float
        Largest learning rate that the theorem admits; NaN unless the certificate holds.
    target_norm : float
        ||Phi||.
    loss_scale : float
        The loss is loss_scale / 2 ||W - Phi||^2 above its smallest value.
    reasons : tuple of str
        Why the theorem promises nothing; empty if the certificate holds.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.ones((1, 100)))
    >>> found = dln.theory.balanced_start_certificate((100, 20, 1), 0.01, problem)
    >>> found.holds, round(found.probability, 2)
    (True, 0.28)
    """

    _shown_first: ClassVar[tuple[str, ...]] = ("holds",)

    widths: tuple[int, ...]
    scale: float
    deficiency_margin: float
    probability: float
    learning_rate_allowed: float
    target_norm: float
    loss_scale: float
    reasons: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the theorem promises anything: whether `probability` is above 0."""
        return not self.reasons

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
            Enough with `probability` or more.

        Raises
        ------
        ValueError
            If the certificate does not hold, or not for this rate; if the number leaves the range
            of float64.

        Notes
        -----
        (4 / rate) [ln(4) (||Phi|| / (s^2 d_0))^(2-2/N) + ||Phi||^(2/N-2) ln(||Phi||^2 / (8
        accuracy))], rounded up: first until the margin is ||Phi|| / 2, then to the end.
        """
        rate = admit(learning_rate, self.learning_rate_allowed, self.reasons)
        goal = as_real(accuracy, "accuracy", positive=True)
        exponent = 2.0 - 2.0 / (len(self.widths) - 1)
        norm = self.target_norm
        first = math.log(4.0) * power(0.5 / self.deficiency_margin, exponent)
        logarithm = 2.0 * math.log(norm) + math.log(self.loss_scale / 8.0) - math.log(goal)
        second = max(0.0, logarithm) * power(norm, -exponent)
        return round_up(4.0 * (first + second) / self.loss_scale, rate)

    def __str__(self) -> str:
        """Say what holds, or what does not."""
        return describe(
            THEOREM_2,
            self.reasons,
            {
                "probability": f"at least {self.probability:.6g}",
                "deficiency margin": f"{self.deficiency_margin:.6g}",
                "learning rate allowed": f"{self.learning_rate_allowed:.6g}",
            },
        )


def balanced_start_certificate(
    widths: Sequence[int], scale: float, problem: Problem
) -> BalancedStartCertificate:
    """Bound how likely and how fast `init.balanced` leads to convergence, for one output.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N), with d_N = 1.
    scale : float
        Standard deviation s of the entries of the end-to-end matrix, above 0, as in
        `init.balanced(widths, scale)`.
    problem : Problem
        A `TargetMatrix`, or a `Regression` of power 2 on whitened inputs, as in `certificate`.

    Returns
    -------
    BalancedStartCertificate
        `reasons` says why if the theorem promises nothing.

    Raises
    ------
    ValueError, TypeError
        If the theorem does not apply to the problem's loss, there is more than one output, the
        widths do not fit the problem, or an argument is not as above.

    Notes
    -----
    Theorem 2 of [1]_ for l = 1/2 ||W_N ... W_1 - Phi||^2 and scale = ||Phi|| / (sqrt(a) d_0):
    the start has the margin s^2 d_0 / (2 ||Phi||) with a probability of at least
    (1 - 2 exp(-d_0 / 16)) (3 - 4 F(2 sqrt(2/a))) / 2, with F the normal distribution function. The
    bound says nothing unless d_0 >= 12 and a > 17.6, and stays below 1/2, as the start is as
    likely to point away from the target. With that margin, every

        rate <= (s^2 d_0)^(4-2/N) / (10^5 N^3 ||Phi||^(10-6/N))

    converges as `BalancedStartCertificate.steps` says.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Theorem 2 and its proof.
       arXiv:1810.02281

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.ones((1, 100)) / 10)
    >>> found = dln.theory.balanced_start_certificate((100, 1, 1), 1e-3, problem)
    >>> found.holds, round(found.probability, 3)
    (True, 0.276)
    """
    sizes = as_widths(widths)
    deviation = as_real(scale, "scale", positive=True)
    distance = as_squared_distance(problem)
    problem.check_shape(sizes, "widths")
    if sizes[-1] != 1:
        raise ValueError(
            f"widths: expected d_N = 1, got {sizes[-1]}: Theorem 2 does not apply because it is "
            "about a single output"
        )
    norm = distance_to(distance.target, 0.0 * distance.target)
    margin, probability = _likely_margin(norm, sizes[0], deviation)
    depth = len(sizes) - 1
    # 10^5 is 6144 times 2^(4-2/N), rounded up: the rate of Theorem 1 at this margin.
    slack = 6144.0 * power(2.0, 4.0 - 2.0 / depth) / 1e5
    rate = slack * largest_rate(margin / norm, norm, depth) if norm else math.nan
    rate /= distance.scale
    reasons = _against(norm, sizes[0], deviation, probability, rate)
    return BalancedStartCertificate(
        sizes,
        deviation,
        margin,
        0.0 if reasons else probability,
        math.nan if reasons else rate,
        norm,
        distance.scale,
        reasons,
    )


def balanced_probability(widths: Sequence[int], std: float, balancedness: float) -> float:
    """Bound how likely layers with independent normal entries are nearly balanced.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N), each at least 1.
    std : float
        Standard deviation s of all entries, at least 0, as in `init.gaussian(widths, std=s)`.
    balancedness : float
        delta, above 0.

    Returns
    -------
    float
        Lower bound of the probability of ||W_{j+1}^T W_{j+1} - W_j W_j^T||_F <= delta for all j;
        0 if the bound says nothing.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Notes
    -----
    Claim 2 of [1]_: max(0, 1 - 10 N s^4 max(d)^3 / delta^2).

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Claim 2. arXiv:1810.02281

    Examples
    --------
    >>> import pydlnet as dln
    >>> round(dln.theory.balanced_probability((3, 4, 2), 0.1, 1.0), 3)
    0.872
    """
    sizes = as_widths(widths)
    deviation = as_real(std, "std", minimum=0.0)
    delta = as_real(balancedness, "balancedness", positive=True)
    ratio = deviation * (deviation / delta)
    return max(0.0, 1.0 - 10.0 * (len(sizes) - 1) * float(max(sizes)) ** 3 * (ratio * ratio))


# The scale times d_0 / ||Phi|| up to which the bound is above 0: F(2 sqrt(2) WIDEST) = 3/4.
WIDEST = NormalDist().inv_cdf(0.75) / math.sqrt(8.0)


def _likely_margin(norm: float, n_inputs: int, scale: float) -> tuple[float, float]:
    """Return the margin of Theorem 2 and the lower bound of its probability.

    The bound is a product of two factors and holds if neither is negative; see `_against`.
    """
    if norm == 0.0:
        return math.nan, 0.0
    ratio = scale * n_inputs / norm  # 1 / sqrt(a)
    direction = 0.5 * (3.0 - 4.0 * NormalDist().cdf(math.sqrt(8.0) * ratio))
    length = 1.0 - 2.0 * math.exp(-n_inputs / 16.0)
    return 0.5 * ratio * scale, length * direction


def _against(
    norm: float, n_inputs: int, scale: float, probability: float, rate: float
) -> tuple[str, ...]:
    if norm == 0.0:
        return ("target: expected full rank 1, got a zero target",)
    reasons = []
    if n_inputs < 12:
        reasons.append(f"widths: expected d_0 >= 12 for a bound above 0, got {n_inputs}")
    limit = WIDEST * norm / n_inputs
    if scale >= limit or (probability <= 0.0 and not reasons):
        reasons.append(f"scale: expected below {limit:.6g} for a bound above 0, got {scale:.6g}")
    if not 0.0 < rate < math.inf:
        reasons.append("scale and target: the learning rate leaves the range of float64")
    return tuple(reasons)
