"""Where a compression comes from: by how much widths can be cut, whether it pays, and the bases.

Gradients of the layers stay in the span of what is next to a width: for a hidden width j that of
[W_j, W_{j+1}^T], for the input that of W_1^T and the data, for the output that of W_N and the data.
So d_j -> min(d_j, d_{j-1} + d_{j+1}), d_0 -> rank + d_1 and d_N -> rank + d_{N-1}, and every
direction that the full run can reach is kept, also those that it reaches by rounding alone, as on
the saddle of a rank-deficient start. With `by_rank` the numerical rank of the start takes the place
of these counts.

What is left of the input of a squared regression is rotated until its data is diagonal.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._validation import FloatArray, widths_of
from .compression import Compression, multiply
from .problems import Problem
from .problems.diagonal import diagonal_basis
from .problems.rotation import data, is_rotatable, n_statistics, spans

__all__ = ["compress", "counted_widths"]

Layers = list[NDArray[Any]]
Ranks = tuple[int | None, int | None]

# A compressed step has to do at most this share of the work: below that, bases and conversions
# are for nothing, and small networks are bound by other things than work.
WORTHWHILE = 0.75

# Diagonal data has to save this share of the work of a step, and its decomposition of about
# 30 c_0^3 operations has to be paid back after this many steps.
WORTH_A_ROTATION = 0.1
STEPS_TO_PAY_BACK = 1000
# Fewer outputs than this take as long, as they fill a vector.
FEWEST_OUTPUTS = 8
# The narrowest input that is rotated: small networks are bound by other things.
NARROWEST_ROTATED = 8


def counted_widths(widths: Sequence[int], ranks: Ranks) -> tuple[int, ...]:
    """Return the widths that counting alone allows.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N).
    ranks : tuple of (int or None)
        What the data spans at input and output; None where the loss forbids a cut.

    Returns
    -------
    tuple of int
        The largest (c_0, ..., c_N) that cannot be cut any further; no order of cuts gives others.
    """
    counts = list(widths)
    before: list[int] = []
    while counts != before:
        before = list(counts)
        for j, width in enumerate(before):
            counts[j] = min(width, _count(counts, ranks, j))
    return tuple(counts)


def _count(counts: Sequence[int], ranks: Ranks, j: int) -> int:
    last = len(counts) - 1
    if 0 < j < last:
        return counts[j - 1] + counts[j + 1]
    rank = ranks[0] if j == 0 else ranks[1]
    neighbour = counts[1] if j == 0 else counts[last - 1]
    return counts[j] if rank is None else rank + neighbour


def _work(widths: Sequence[int]) -> int:
    """Return operations of a step: products from the narrower end, and what goes by entries."""
    products = [a * b for a, b in itertools.pairwise(widths)]
    chain = min(widths[0] * sum(products[1:]), widths[-1] * sum(products[:-1]))
    return 6 * chain + 8 * (widths[0] * widths[-1] + sum(products))


def _pays(widths: Sequence[int], cut: Sequence[int]) -> bool:
    return _work(cut) <= WORTHWHILE * _work(widths)


def compress(
    problem: Problem, layers: Layers, *, batches: bool, by_rank: bool
) -> Compression | None:
    """Return the compression of a run that begins at these layers, if one pays.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    layers : list of ndarray, shape (d_j, d_{j-1})
        The start.
    batches : bool
        Whether steps go along mini-batches.
    by_rank : bool
        Whether to cut to the numerical rank of the start.

    Returns
    -------
    Compression or None
        None where nothing can be cut or made diagonal, where that does not save enough, or where
        numbers are so large that sums of squares of rotated ones would leave the range of the
        dtype.
    """
    widths = widths_of(layers)
    bases = _cut(problem, layers, batches, by_rank)
    cut = Compression(widths, bases or (None,) * len(widths), by_rank)
    rows = 0 if batches else n_statistics(problem)
    if _diagonal_pays(cut.core_widths, rows) and _is_in_range(problem, layers, batches):
        basis = diagonal_basis(data(problem, batches)[0], cut.bases[0])
        return replace(cut, bases=(basis, *cut.bases[1:]), diagonal=True)
    return None if bases is None else cut


def _cut(
    problem: Problem, layers: Layers, batches: bool, by_rank: bool
) -> tuple[FloatArray | None, ...] | None:
    """Return bases of fewer coordinates, or None."""
    widths = widths_of(layers)
    rotatable = is_rotatable(problem)
    if not by_rank:
        ideal = counted_widths(widths, (0, 0) if rotatable else (None, None))
        if not _pays(widths, ideal):
            return None
    if not _is_in_range(problem, layers, batches):
        return None
    sides = _spans(problem, widths, batches, by_rank) if rotatable else (None, None)
    finder = _Bases(layers, sides)
    cut_widths = finder.cut_by_rank() if by_rank else finder.cut_by_count()
    if cut_widths == widths or not _pays(widths, cut_widths):
        return None
    return tuple(finder.bases)


def _diagonal_pays(widths: Sequence[int], rows: int) -> bool:
    """Say whether diagonal data of so many rows pays, by shape alone: a run has any length."""
    saved = 4 * rows * widths[0] * max(widths[-1], FEWEST_OUTPUTS)
    return (
        widths[0] >= NARROWEST_ROTATED
        and saved >= WORTH_A_ROTATION * (saved + _work(widths))
        and 30 * widths[0] ** 3 <= STEPS_TO_PAY_BACK * saved
    )


def _is_in_range(problem: Problem, layers: Layers, batches: bool) -> bool:
    """Say whether sums of squares of rotated numbers stay in the range of the run's dtype."""
    parts = [*layers, *(data(problem, batches) if is_rotatable(problem) else ())]
    bound = float(np.sqrt(np.finfo(layers[0].dtype).max))
    return all(-bound <= float(np.min(part)) <= float(np.max(part)) <= bound for part in parts)


def _spans(
    problem: Problem, widths: tuple[int, ...], batches: bool, by_rank: bool
) -> tuple[FloatArray | None, FloatArray | None]:
    """Return what the data spans, as far as that is small enough to be of use."""
    if by_rank:
        return spans(problem, batches, (widths[0] - 1, widths[-1] - 1))
    return spans(problem, batches, (_largest_useful(widths, 0), _largest_useful(widths, -1)))


@lru_cache
def _largest_useful(widths: tuple[int, ...], side: int) -> int:
    """Return the largest rank at input (0) or output (-1) that pays if that of the other is 0."""

    def is_useful(rank: int) -> bool:
        cut = counted_widths(widths, (0, rank) if side else (rank, 0))
        return cut[side] < widths[side] and _pays(widths, cut)

    below, above = -1, widths[side]  # is_useful falls from true to false once
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if is_useful(middle) else (below, middle)
    return below


class _Bases:
    """Bases in the making: layers and spans are kept in the coordinates found so far."""

    def __init__(self, layers: Layers, sides: tuple[FloatArray | None, FloatArray | None]) -> None:
        self._layers = [np.asarray(layer, dtype=np.float64) for layer in layers]
        self._last = len(layers)
        # A rank-deficient end-to-end matrix is so to max(d) eps; layers that share its singular
        # values have the root of that.
        rounding = max(widths_of(layers)) * float(np.finfo(layers[0].dtype).eps)
        self._negligible = float(rounding ** (1.0 / len(layers)))
        # By width; hidden ones have no data of their own.
        self._spans = {0: sides[0], self._last: sides[1]}
        self.bases: list[FloatArray | None] = [None] * (self._last + 1)

    def cut_by_count(self) -> tuple[int, ...]:
        """Cut until counting allows nothing more; return the widths."""
        before: tuple[int, ...] = ()
        while before != self._widths:
            before = self._widths
            for j in range(self._last + 1):
                spanning = self._spanning(j)
                if spanning and sum(part.shape[1] for part in spanning) < self._widths[j]:
                    self._rotate(j, _core.qr(np.ascontiguousarray(np.hstack(spanning)))[0])
        return self._widths

    def cut_by_rank(self) -> tuple[int, ...]:
        """Cut every width to the rank of what spans it; return the widths."""
        for j in range(self._last + 1):
            spanning = self._spanning(j)
            if spanning:
                basis = self._spanned(spanning, has_data=j in self._spans)
                if basis.shape[1] < self._widths[j]:
                    self._rotate(j, basis)
        return self._widths

    def _spanned(self, spanning: list[FloatArray], *, has_data: bool) -> FloatArray:
        """Return an orthonormal basis of the first part, if it is data, and the rank of others."""
        width = spanning[0].shape[0]
        basis = spanning[0] if has_data else np.empty((width, 0))
        rows = np.vstack([_normalised(part.T) for part in spanning[has_data:]])
        rest = rows
        if basis.shape[1]:
            basis, _ = _core.qr(np.ascontiguousarray(basis))
            rest = rows - multiply(rows, basis, basis.T)
        # Norms of all that is left against a bound on each singular value of it.
        negligible = self._negligible * math.sqrt(min(rows.shape)) * _norm(rows)
        if _norm(rest) > negligible:
            more, _ = _core.row_space(np.ascontiguousarray(rest), negligible / _norm(rest), width)
            basis, _ = _core.qr(np.hstack([basis, more]))
        return basis if basis.shape[1] else np.eye(width, 1)

    @property
    def _widths(self) -> tuple[int, ...]:
        return widths_of(self._layers)

    def _spanning(self, j: int) -> list[FloatArray]:
        """Return matrices whose columns span what gradients reach; none if that is everything."""
        parts = []
        if j in self._spans:
            span = self._spans[j]
            if span is None:
                return []
            parts.append(span)
        if j > 0:
            parts.append(self._layers[j - 1])
        if j < self._last:
            parts.append(self._layers[j].T)
        return parts

    def _rotate(self, j: int, basis: FloatArray) -> None:
        """Go over to the coordinates of a basis of width j."""
        transposed = np.ascontiguousarray(basis.T)
        self.bases[j] = multiply(self.bases[j], basis)
        span = self._spans.get(j)
        if span is not None:
            self._spans[j] = (
                multiply(transposed, span) if span.shape[1] else span[: len(transposed)]
            )
        if j > 0:
            self._layers[j - 1] = multiply(transposed, self._layers[j - 1])
        if j < self._last:
            self._layers[j] = multiply(self._layers[j], basis)


def _normalised(matrix: FloatArray) -> FloatArray:
    """Return a matrix of size 1: a small layer next to a large one counts, too."""
    size = float(np.max(np.abs(matrix)))
    return matrix / size if size > 0.0 else matrix


def _norm(matrix: FloatArray) -> float:
    return math.sqrt(float(np.sum(matrix * matrix)))
