"""Plain Eigen, compiled here at the instruction set of pydlnet's module."""

import ctypes

import numpy as np

from .. import native
from ..cases import LEARNING_RATE, Case, Layers
from .base import Backend


class EigenPlain(Backend):
    def __init__(self, case: Case) -> None:
        library = native.library("backends/eigen_plain.cpp", f"-I{native.eigen_folder()}")
        self._descend = getattr(library, f"descend_{case.dtype}")
        self._descend.restype = None
        self._case = case
        self._start = np.stack(case.start)
        self._layers = self._start.copy()

    def run(self, n_steps: int) -> None:
        self._layers[...] = self._start
        self._descend(
            self._layers.ctypes.data_as(ctypes.c_void_p),
            self._case.target.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(self._case.width),
            ctypes.c_int64(self._case.depth),
            ctypes.c_double(LEARNING_RATE),
            ctypes.c_int64(n_steps),
        )

    def layers(self) -> Layers:
        return list(self._layers)
