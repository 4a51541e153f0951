"""Checks of arguments that several theory modules share."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import INT64_MAX, FloatArray, IndexArray, as_array, as_count, as_matrix
from ..problems import Problem


def as_depth(depth: Any) -> float:
    """Return an integer >= 1 or infinity."""
    if isinstance(depth, float) and depth == math.inf:
        return depth
    return as_count(depth, "depth", 1)


def as_gradient(problem: Problem | ArrayLike, matrix: FloatArray) -> FloatArray:
    """Return the gradient of a problem at a checked matrix, or the checked gradient given."""
    if isinstance(problem, Problem):
        return problem.value_and_gradient(matrix)[1]
    return as_matrix(problem, "problem", shape=(matrix.shape[0], matrix.shape[1]))


def as_times(times: ArrayLike, name: str) -> FloatArray:
    """Return a fresh array of numbers >= 0."""
    result = as_array(times, name)
    if (result < 0.0).any():
        raise ValueError(f"{name}: expected numbers >= 0, got {result[result < 0.0][0]}")
    return result


def as_steps(steps: ArrayLike) -> IndexArray:
    """Return integers >= 0."""
    array = np.asarray(steps)
    if array.dtype.kind not in "iu":
        raise TypeError(f"steps: expected integers, got dtype {array.dtype}")
    if array.size == 0 or (array < 0).any() or (array > INT64_MAX).any():
        raise ValueError(
            f"steps: expected at least one integer, all >= 0 and <= {INT64_MAX}, got {steps!r}"
        )
    return array.astype(np.int64)


def as_modes(targets: ArrayLike, starts: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return targets and starts as fresh arrays of one shape."""
    s, u = broadcast(targets=as_array(targets, "targets"), starts=as_array(starts, "starts"))
    return s, u


def broadcast(**arrays: FloatArray) -> list[FloatArray]:
    """Return fresh arrays of the common shape; the keywords are their public names."""
    try:
        return [np.array(a) for a in np.broadcast_arrays(*arrays.values())]
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"{next(iter(arrays))}: expected shapes that broadcast, got {shapes}"
        ) from None
