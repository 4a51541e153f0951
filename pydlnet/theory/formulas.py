"""What the certificates share: norms and powers that stay in range, admitted rates, texts."""

import math
from collections.abc import Sequence

import numpy as np

from .._validation import FloatArray, as_real

__all__ = ["admit", "describe", "distance_to", "largest_rate", "power", "round_up"]


def distance_to(matrix: FloatArray, target: FloatArray) -> float:
    """Return ||matrix - target||_F of the end-to-end matrix of a start."""
    if not np.isfinite(matrix).all():
        raise ValueError("weights: expected a product in the range of float64, got an overflow")
    difference = matrix - target
    size = float(np.max(np.abs(difference)))
    # Scaled: squares of very small or very large entries leave the range.
    return size * float(np.linalg.norm(difference / size)) if size > 0.0 else 0.0


def largest_rate(share: float, norm: float, depth: int) -> float:
    """Return c^((4N-2)/N) / (6144 N^3 norm^((6N-4)/N)) for the margin c = share norm."""
    factor = power(share, 4.0 - 2.0 / depth) / (6144.0 * depth**3)
    return factor * power(norm, 2.0 / depth - 2.0)


def power(base: float, exponent: float) -> float:
    """Return base^exponent of a base that is not negative; infinite beyond the range."""
    try:
        return math.pow(base, exponent)
    except (OverflowError, ValueError):  # ValueError: 0 to a negative power
        return math.inf


def admit(learning_rate: float, allowed: float, reasons: Sequence[str]) -> float:
    """Return the rate if a certificate covers it."""
    rate = as_real(learning_rate, "learning_rate", positive=True)
    if reasons:
        raise ValueError(f"learning_rate: no rate is covered because {'; '.join(reasons)}")
    if rate > allowed:
        raise ValueError(
            f"learning_rate: expected at most {allowed:.17g}, which the theorem covers, got {rate}"
        )
    return rate


def round_up(time: float, rate: float) -> int:
    """Return the number of steps of a rate that take at least a time."""
    count = time / rate
    if not math.isfinite(count):
        raise ValueError("learning_rate: the number of steps leaves the range of float64")
    return math.ceil(count)


def describe(theorem: str, reasons: Sequence[str], numbers: dict[str, str]) -> str:
    """Return a few lines: whether a theorem holds, its numbers, and what is against it."""
    verdict = "does not apply because" if reasons else "applies"
    rows = [f"  {name:<22} {value}" for name, value in numbers.items()]
    return "\n".join([f"{theorem}: {verdict}", *(f"  - {text}" for text in reasons), *rows])
