"""What is timed, defined once for every backend."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Small enough that every width stays far from instability for the few steps that are taken.
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Case:
    """Gradient descent on 1/2 ||W - target||_F^2 over square layers."""

    width: int
    depth: int = 3
    dtype: str = "float64"

    def __str__(self) -> str:
        return f"d={self.width} N={self.depth} {self.dtype}"

    def start(self) -> list[NDArray[np.floating]]:
        """Return the layers."""
        rng = np.random.default_rng(self.width)
        shape = (self.width, self.width)
        layers = [rng.standard_normal(shape) / np.sqrt(self.width) for _ in range(self.depth)]
        return [layer.astype(self.dtype) for layer in layers]

    def target(self) -> NDArray[np.floating]:
        """Return the target."""
        rng = np.random.default_rng(self.width + 1)
        target = rng.standard_normal((self.width, self.width)) / self.width
        return target.astype(self.dtype)


WIDTHS = (4, 10, 16, 20, 32, 50, 100, 200, 500)
DTYPES = ("float64", "float32")
CASES = tuple(Case(width, dtype=dtype) for dtype in DTYPES for width in WIDTHS)
