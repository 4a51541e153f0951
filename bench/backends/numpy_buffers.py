"""NumPy by hand, with every product written to its own buffer."""

import numpy as np

from ..cases import LEARNING_RATE, Case, Layers
from .base import Backend


class NumPyBuffers(Backend):
    def __init__(self, case: Case) -> None:
        self._start = case.start
        self._target = case.target
        self._layers = [layer.copy() for layer in self._start]
        self._prefix = [np.empty_like(layer) for layer in self._start]
        self._delta = [np.empty_like(layer) for layer in self._start]
        self._gradient = np.empty_like(self._start[0])
        self._rate = self._start[0].dtype.type(LEARNING_RATE)

    def run(self, n_steps: int) -> None:
        for layer, start in zip(self._layers, self._start, strict=True):
            layer[...] = start
        for _ in range(n_steps):
            self._step()

    def _step(self) -> None:
        w, prefix, delta = self._layers, self._prefix, self._delta
        prefix[0] = w[0]
        for j in range(1, len(w)):
            np.matmul(w[j], prefix[j - 1], out=prefix[j])
        np.subtract(prefix[-1], self._target, out=delta[-1])
        for j in range(len(w) - 1, 0, -1):
            np.matmul(w[j].T, delta[j], out=delta[j - 1])
        for j in range(len(w) - 1, 0, -1):
            np.matmul(delta[j], prefix[j - 1].T, out=self._gradient)
            self._gradient *= self._rate
            w[j] -= self._gradient
        np.multiply(delta[0], self._rate, out=self._gradient)
        w[0] -= self._gradient

    def layers(self) -> Layers:
        return self._layers
