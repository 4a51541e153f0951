"""One class for each way of taking the steps; all on one thread."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

import pydlnet as dln

from .cases import LEARNING_RATE, Case

Layers = list[NDArray[np.floating]]


class Backend(Protocol):
    """Prepared once for a case, then run as often as wanted, always from the same start."""

    def __init__(self, case: Case) -> None: ...

    def run(self, n_steps: int) -> None:
        """Take this many steps of gradient descent."""

    def layers(self) -> Layers:
        """Return the layers that the last run ended at."""


class Pydlnet:
    """The package itself, through its public function, recording only the first and last loss."""

    def __init__(self, case: Case) -> None:
        self._start = case.start()
        self._problem = dln.TargetMatrix(case.target())
        self._method = dln.GradientDescent(LEARNING_RATE)
        self._trajectory: dln.Trajectory | None = None

    def run(self, n_steps: int) -> None:
        record = dln.Record(steps=[0])
        self._trajectory = dln.run(
            self._problem, self._start, self._method, n_steps=n_steps, record=record, progress=False
        )

    def layers(self) -> Layers:
        return self._trajectory.weights if self._trajectory is not None else self._start


class NumPy:
    """By hand, with every product written to its own buffer."""

    def __init__(self, case: Case) -> None:
        self._start = case.start()
        self._target = case.target()
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


class TorchAutograd:
    """The loop that most people write: a product of parameters, backward, SGD."""

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(1)
        self._start = case.start()
        self._target = torch.from_numpy(case.target())
        self._parameters: list[torch.nn.Parameter] = []

    def run(self, n_steps: int) -> None:
        self._parameters = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in self._start]
        optimizer = torch.optim.SGD(self._parameters, lr=LEARNING_RATE)
        for _ in range(n_steps):
            optimizer.zero_grad()
            product = self._parameters[0]
            for layer in self._parameters[1:]:
                product = layer @ product
            loss = 0.5 * ((product - self._target) ** 2).sum()
            loss.backward()
            optimizer.step()

    def layers(self) -> Layers:
        return [parameter.detach().numpy() for parameter in self._parameters]


BACKENDS: dict[str, type[Backend]] = {
    "pydlnet": Pydlnet,
    "NumPy, out= buffers": NumPy,
    "PyTorch autograd": TorchAutograd,
}


def check_agreement(case: Case, backend: type[Backend], n_steps: int = 10) -> None:
    """Raise unless the backend takes the same steps as NumPy."""
    expected, got = NumPy(case), backend(case)
    expected.run(n_steps)
    got.run(n_steps)
    # Products of `width` terms, once a layer and direction, over the steps taken.
    epsilon = float(np.finfo(case.dtype).eps)
    tolerance = 10.0 * epsilon * case.width * case.depth * n_steps
    for one, other in zip(expected.layers(), got.layers(), strict=True):
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance)
