"""What all starts share: shapes and scales of the layers, and how they are rounded."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._validation import FloatArray, as_dtype, as_real, check_finite

Layers = list[NDArray[Any]]
Rng = int | np.random.Generator | None


def shapes_of(widths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return (d_j, d_{j-1}) of each layer."""
    return list(zip(widths[1:], widths, strict=False))


def layer_scale(scale: Any, name: str, widths: tuple[int, ...]) -> float:
    """Return s^(1/N), the share of each layer in the scale of the end-to-end matrix."""
    return math.pow(as_real(scale, name, minimum=0.0), 1.0 / (len(widths) - 1))


def scaled(factor: float, array: FloatArray, name: str) -> FloatArray:
    """Return factor * array, checked to be finite."""
    with np.errstate(over="ignore"):
        product = factor * array
    check_finite(product, name)
    return product


def rounded(layers: list[FloatArray], dtype: DTypeLike, name: str) -> Layers:
    """Return C-contiguous layers of the dtype, checked to be in its range."""
    target = as_dtype(dtype)
    with np.errstate(over="ignore"):
        layers = [np.ascontiguousarray(layer, dtype=target) for layer in layers]
    if not all(np.isfinite(layer).all() for layer in layers):
        raise ValueError(f"{name}: expected layers in the range of {target}, got an overflow")
    return layers
