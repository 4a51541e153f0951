"""One network under gradient descent: what is timed, defined once for every backend."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .oracle import reference

# Small enough that every width and depth here stays far from instability, large enough that the
# layers move by much more than rounding in a few steps.
LEARNING_RATE = 1e-3

Layers = list[NDArray[np.floating]]


@dataclass(frozen=True)
class Case:
    """Gradient descent on 1/2 ||W - target||_F^2 over square layers."""

    width: int
    depth: int = 3
    dtype: str = "float64"

    def __str__(self) -> str:
        return f"d={self.width} N={self.depth} {self.dtype}"

    @property
    def flops(self) -> int:
        """Operations of a step: 3(N - 1) products of 2 d^3 each."""
        return 6 * (self.depth - 1) * self.width**3

    @cached_property
    def start(self) -> Layers:
        """The layers; not to be written to."""
        rng = np.random.default_rng(self.width)
        shape = (self.width, self.width)
        layers = [rng.standard_normal(shape) / np.sqrt(self.width) for _ in range(self.depth)]
        return [layer.astype(self.dtype) for layer in layers]

    @cached_property
    def target(self) -> NDArray[np.floating]:
        """The target; not to be written to."""
        rng = np.random.default_rng(self.width + 1)
        target = rng.standard_normal((self.width, self.width)) / self.width
        return target.astype(self.dtype)

    def expected(self, n_steps: int) -> Layers:
        """Return the layers after these steps, from the definition, in float64."""
        target = self.target.astype(np.float64)
        return reference.descend(
            reference.gradient_descent,
            [layer.astype(np.float64) for layer in self.start],
            lambda end_to_end: reference.target_loss(end_to_end, target),
            [LEARNING_RATE] * n_steps,
        )[-1]


WIDTHS = (4, 10, 16, 20, 32, 50, 64, 100, 200, 256, 500, 1000)
DTYPES = ("float64", "float32")
CASES = tuple(Case(width, dtype=dtype) for dtype in DTYPES for width in WIDTHS)
# Where only the answers matter: odd sizes, another depth, both dtypes.
QUICK_CASES = (Case(10), Case(10, dtype="float32"), Case(33, depth=2))
