"""Numba: the whole loop compiled, the products by np.dot into buffers."""

import numpy as np

from ..cases import LEARNING_RATE, Case, Layers
from ..optional import optional
from .base import Backend

numba = optional("numba")
optional("scipy")  # whose BLAS Numba's np.dot calls


@numba.njit
def _descend(w, target, rate, n_steps, prefix, delta, gradient):
    n_layers = w.shape[0]
    for _ in range(n_steps):
        prefix[0] = w[0]
        for j in range(1, n_layers):
            np.dot(w[j], prefix[j - 1], prefix[j])
        delta[n_layers - 1] = prefix[n_layers - 1] - target
        for j in range(n_layers - 1, 0, -1):
            np.dot(w[j].T, delta[j], delta[j - 1])
            np.dot(delta[j], prefix[j - 1].T, gradient)
            w[j] -= rate * gradient
        w[0] -= rate * delta[0]


class NumbaDot(Backend):
    def __init__(self, case: Case) -> None:
        self._start = np.stack(case.start)
        self._target = case.target
        self._rate = self._start.dtype.type(LEARNING_RATE)
        self._layers = self._start.copy()
        self._buffers = (
            np.empty_like(self._start),
            np.empty_like(self._start),
            np.empty_like(self._target),
        )

    def run(self, n_steps: int) -> None:
        self._layers[...] = self._start
        _descend(self._layers, self._target, self._rate, n_steps, *self._buffers)

    def layers(self) -> Layers:
        return list(self._layers)
