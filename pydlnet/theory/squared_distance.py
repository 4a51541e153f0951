"""Problems whose loss is a squared distance to a target, up to a factor and a constant."""

import math
import sys
from dataclasses import dataclass

import numpy as np

from .._validation import FloatArray
from ..problems import Problem, Regression, TargetMatrix, Whitened, whiten

# What rounding may leave of whitened inputs: far above what `whiten` leaves, and far below what
# the constants of the theorems would notice.
WHITE = 1e-8


@dataclass(frozen=True)
class SquaredDistance:
    """A loss scale / 2 ||W - target||_F^2 + smallest.

    Parameters
    ----------
    target : ndarray, shape (d_N, d_0)
        Where the loss is smallest.
    scale : float
        1 for a `TargetMatrix`.
    smallest : float
        The smallest value of the loss.
    """

    target: FloatArray
    scale: float = 1.0
    smallest: float = 0.0


def as_squared_distance(problem: Problem) -> SquaredDistance:
    """Return the squared distance that a problem's loss is.

    Parameters
    ----------
    problem : Problem
        A `TargetMatrix`, or a `Regression` of power 2 on whitened inputs.

    Returns
    -------
    SquaredDistance
        Scale 1 for whitened inputs and the mean over samples.

    Raises
    ------
    TypeError
        If `problem` is not a problem.
    ValueError
        If the loss is another one, saying which.
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a Problem, got {type(problem).__name__}")
    if isinstance(problem, TargetMatrix):
        return SquaredDistance(problem.target)
    if isinstance(problem, Regression) and problem.power == 2:
        return _from_regression(problem)
    raise ValueError(
        "problem: expected a TargetMatrix or a Regression of power 2 on whitened inputs, "
        f"got {problem!r}: does not apply because the loss is not a squared distance ||W - Phi||^2"
    )


def _from_regression(problem: Regression) -> SquaredDistance:
    try:
        white = whiten(problem.inputs, problem.outputs)
    except ValueError as error:
        raise ValueError(
            f"problem: does not apply because its inputs cannot be whitened: {error}"
        ) from None
    # The transform is (X^T X / m)^(-1/2), a multiple of the identity if all directions are alike.
    root = _common_factor(white)
    samples = problem.n_samples if problem.reduction == "sum" else 1
    scale = samples / root / root
    if not sys.float_info.min <= scale < math.inf:
        raise ValueError(
            "problem: does not apply because the squares of its inputs leave the range of float64"
        )
    return SquaredDistance(white.problem.target * root, scale, samples * white.constant)


def _common_factor(white: Whitened) -> float:
    root = float(np.mean(np.diagonal(white.transform)))
    deviation = float(np.max(np.abs(white.transform / root - np.eye(len(white.transform)))))
    if deviation > WHITE:
        raise ValueError(
            "problem: does not apply because the inputs are not whitened (X^T X / m is not a "
            "multiple of the identity); whiten(inputs, outputs).problem is the problem on "
            "whitened inputs"
        )
    return root
