"""Random matrices of low rank, the ground truths of synthetic problems."""

import numpy as np

from .._validation import FloatArray, as_count


def draw_low_rank(shape: tuple[int, int], rank: int, rng: np.random.Generator) -> FloatArray:
    """Return U V^T with standard normal factors, scaled to a root mean square of 1."""
    terms = as_count(rank, "rank", 1, min(shape))
    left = rng.standard_normal((shape[0], terms))
    right = rng.standard_normal((shape[1], terms))
    # A sum of outer products: its bits do not depend on a BLAS.
    matrix = np.zeros(shape)
    for u, v in zip(left.T, right.T, strict=True):
        matrix += np.multiply.outer(u, v)
    matrix /= np.sqrt(np.mean(matrix * matrix))
    return matrix
