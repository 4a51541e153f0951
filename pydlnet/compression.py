"""Networks in fewer or rotated coordinates: what the core computes, and its image outside.

A compression has an orthonormal basis P_j (d_j, c_j) for some of the widths. The core works on
V_j = P_j^T W_j P_{j-1}; as long as every W_j is P_j V_j P_{j-1}^T, which methods that commute with
rotations keep up, nothing is lost. See `bases` for how they are found.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._validation import FloatArray

__all__ = ["Compression", "multiply"]

Layers = list[NDArray[Any]]
Arrays = dict[str, NDArray[Any]]


def multiply(*factors: NDArray[Any] | None) -> NDArray[Any]:
    """Return the product of matrices in float64 by the core; None stands for an identity."""
    matrices = [np.ascontiguousarray(a, dtype=np.float64) for a in factors if a is not None]
    if len(matrices) == 1:
        return matrices[0]
    product: NDArray[Any] = _core.chain_product(matrices[::-1])
    return product


@dataclass(frozen=True, eq=False)
class Compression:
    """Bases of the coordinates that a run works in.

    Parameters
    ----------
    widths : tuple of int
        (d_0, ..., d_N) of the full network.
    bases : tuple of (ndarray of float64, shape (d_j, c_j), or None)
        Orthonormal columns, as many as rows for a mere rotation; None where coordinates are kept.
    by_rank : bool
        Whether the bases span only what the start spans numerically.
    diagonal : bool
        Whether the basis of the input makes the inputs of a regression orthogonal to each other.
    """

    widths: tuple[int, ...]
    bases: tuple[FloatArray | None, ...]
    by_rank: bool
    diagonal: bool = False

    @property
    def ends(self) -> tuple[FloatArray | None, FloatArray | None]:
        """The bases of input and output."""
        return self.bases[0], self.bases[-1]

    @property
    def changes_ends(self) -> bool:
        """Whether input or output have a basis, so that the loss is another one."""
        return any(basis is not None for basis in self.ends)

    @cached_property
    def core_widths(self) -> tuple[int, ...]:
        """(c_0, ..., c_N)."""
        pairs = zip(self.widths, self.bases, strict=True)
        return tuple(width if basis is None else basis.shape[1] for width, basis in pairs)

    @cached_property
    def _transposed(self) -> tuple[FloatArray | None, ...]:
        return tuple(None if b is None else np.ascontiguousarray(b.T) for b in self.bases)

    def __str__(self) -> str:
        """Say what is done, such as "diagonalised data; d_0 100 -> 15, d_3 100 -> 15"."""
        cut = [
            f"d_{j} {full} -> {core}"
            for j, (full, core) in enumerate(zip(self.widths, self.core_widths, strict=True))
            if full != core
        ]
        cuts = ", ".join(cut) + (" (rank of the start)" if cut and self.by_rank else "")
        return "; ".join(text for text in ("diagonalised data" * self.diagonal, cuts) if text)

    def project(self, layers: Sequence[NDArray[Any]]) -> Layers:
        """Return the core's layers V_j, in the dtype of `layers`."""
        return [
            multiply(self._transposed[j + 1], layer, self.bases[j]).astype(layer.dtype)
            for j, layer in enumerate(layers)
        ]

    def lift(self, layers: Sequence[NDArray[Any]]) -> Layers:
        """Return the full layers, in the dtype of `layers`."""
        return [self._lift_layer(j, layer) for j, layer in enumerate(layers, start=1)]

    def _lift_layer(self, j: int, layer: NDArray[Any]) -> NDArray[Any]:
        return _rounded(multiply(self.bases[j], layer, self._transposed[j - 1]), layer.dtype)

    def split(self, matrix: FloatArray) -> tuple[FloatArray, float]:
        """Return P_N^T matrix P_0, and the squared norm of what the bases leave out."""
        inside = multiply(self._transposed[-1], matrix, self.bases[0])
        if inside.shape == matrix.shape:
            return inside, 0.0
        rest = matrix - multiply(self.bases[-1], inside, self._transposed[0])
        return inside, float(np.sum(rest * rest))

    def lift_records(self, arrays: Arrays, mean_outside: float) -> Arrays:
        """Return what the full network would have recorded.

        Parameters
        ----------
        arrays : dict of str to ndarray
            Of the core, the record first, by name of the variable.
        mean_outside : float
            What the part of the ground truth outside of the bases adds to the reconstruction
            error.

        Returns
        -------
        dict of str to ndarray
            The same names in the shapes of the full network.
        """
        lifted = {name: self._lift_record(name, array) for name, array in arrays.items()}
        if "reconstruction_error" in arrays:
            share = math.prod(self._end_sizes(self.core_widths)) / math.prod(
                self._end_sizes(self.widths)
            )
            lifted["reconstruction_error"] = share * arrays["reconstruction_error"] + mean_outside
        if "left_singular_vector" in arrays:
            left, right = self._lift_vectors(
                arrays["left_singular_vector"], arrays["right_singular_vector"]
            )
            lifted["left_singular_vector"], lifted["right_singular_vector"] = left, right
        return lifted

    @staticmethod
    def _end_sizes(widths: Sequence[int]) -> tuple[int, int]:
        return widths[0], widths[-1]

    @property
    def _n_modes(self) -> int:
        return min(self._end_sizes(self.widths))

    def _lift_record(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        # The gradient vanishes along modes outside of the bases, as their singular values do.
        if name in ("singular_value", "alignment"):
            return _padded(array, self._n_modes)
        if name == "layer_singular_value":
            return self._lift_layer_spectra(array)
        if name == "end_to_end":
            return self._lift_each(array, self.bases[-1], self._transposed[0])
        if name.startswith("W"):
            j = int(name[1:])
            return self._lift_each(array, self.bases[j], self._transposed[j - 1])
        return array

    @staticmethod
    def _lift_each(
        array: NDArray[Any], left: FloatArray | None, right: FloatArray | None
    ) -> NDArray[Any]:
        if left is None and right is None:
            return array
        rows = array.shape[1] if left is None else left.shape[0]
        cols = array.shape[2] if right is None else right.shape[1]
        lifted = np.empty((len(array), rows, cols), array.dtype)
        for matrix, image in zip(array, lifted, strict=True):
            image[...] = _rounded(multiply(left, matrix, right), array.dtype)
        return lifted

    def _lift_layer_spectra(self, array: NDArray[Any]) -> NDArray[Any]:
        sizes = [min(self.widths[j : j + 2]) for j in range(len(self.widths) - 1)]
        lifted = np.full((*array.shape[:2], max(sizes)), np.nan)
        for j, size in enumerate(sizes):
            own = min(self.core_widths[j : j + 2])
            lifted[:, j, :size] = _padded(array[:, j, :own], size)
        return lifted

    def _lift_vectors(
        self, left: NDArray[Any], right: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        n, k = len(left), self._n_modes
        lefts = np.empty((n, self.widths[-1], k))
        rights = np.empty((n, self.widths[0], k))
        for at in range(n):
            lefts[at] = _completed(self.bases[-1], left[at], k)
            rights[at] = _completed(self.bases[0], right[at], k)
        # The sign of a pair: its entry on the left that is largest in size is positive.
        tops = np.take_along_axis(lefts, np.argmax(np.abs(lefts), axis=1, keepdims=True), axis=1)
        signs = np.where(tops < 0.0, -1.0, 1.0)
        return signs * lefts, signs * rights


def _rounded(matrix: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverged may come here
        return matrix.astype(dtype)


def _padded(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Append zeros to the last axis; NaN to a row that holds no values."""
    padded = np.zeros((*values.shape[:-1], size))
    padded[np.isnan(values[..., 0])] = np.nan
    padded[..., : values.shape[-1]] = values
    return padded


def _completed(basis: FloatArray | None, vectors: NDArray[Any], k: int) -> NDArray[Any]:
    """Return k orthonormal columns, the image of `vectors` first."""
    image = multiply(basis, vectors)
    n_more = k - image.shape[1]
    if n_more == 0 or not np.isfinite(image).all():
        return np.hstack([image, np.full((len(image), n_more), np.nan)])
    q, _ = _core.qr(np.hstack([image, np.zeros((len(image), n_more))]))
    return np.hstack([image, q[:, image.shape[1] :]])
