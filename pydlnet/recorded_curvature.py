"""The recorded quantities `sharpness` and `hessian_min`, as functions of the layers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._validation import FloatArray
from .curvature import open_curvature, search
from .problems import Problem

__all__ = ["recorded_curvature"]


def recorded_curvature(
    names: Iterable[str], problem: Problem
) -> dict[str, Callable[[list[NDArray[Any]]], float]]:
    """Return functions of the layers for the quantities `sharpness` and `hessian_min`.

    Parameters
    ----------
    names : iterable of str
        Names of quantities, these two among them or not.
    problem : Problem
        What is minimised.

    Returns
    -------
    dict of str to callable
        For those of the two that are asked for. One search serves both.
    """
    wanted = [name for name in ("sharpness", "hessian_min") if name in set(names)]
    searches = _Searches(problem, wanted)
    functions: dict[str, Callable[[list[NDArray[Any]]], float]] = {
        "sharpness": searches.largest,
        "hessian_min": searches.smallest,
    }
    return {name: functions[name] for name in wanted}


class _Searches:
    """Extreme eigenvalues at one network after the other, of which the latest is kept."""

    def __init__(self, problem: Problem, wanted: Sequence[str]) -> None:
        self._problem = problem
        self._wanted = {
            "largest": "sharpness" in wanted,
            "smallest": "hessian_min" in wanted,
        }
        self._loss: object = None
        self._layers: list[FloatArray] = []
        self._found: object = None

    def largest(self, weights: list[NDArray[Any]]) -> float:
        return float(_core.extreme_found(self._at(weights), True)[0])

    def smallest(self, weights: list[NDArray[Any]]) -> float:
        return float(_core.extreme_found(self._at(weights), False)[0])

    def _at(self, weights: list[NDArray[Any]]) -> object:
        # A copy: the views change with the run.
        layers = [np.array(layer, dtype=np.float64, order="C") for layer in weights]
        pairs = zip(layers, self._layers, strict=False)
        if self._found is not None and all(np.array_equal(a, b) for a, b in pairs):
            return self._found
        if self._loss is None:
            self._loss = self._problem.core_loss(np.float64, layers[-1].shape[0])
        found = open_curvature(layers, self._loss)
        search(found, **self._wanted)
        self._layers, self._found = layers, found
        return found
