"""The machine's peak, as one more thing that runs in the rounds."""

import ctypes

from . import native


class Peak:
    """One thread's multiply-adds; a step is one of each register."""

    def __init__(self, dtype: str) -> None:
        library = native.library("peak.cpp")
        self._function = getattr(library, f"multiply_add_{dtype}")
        self._function.restype = ctypes.c_double
        count = getattr(library, f"operations_{dtype}")
        count.restype = ctypes.c_int64
        self.flops = int(count())

    def run(self, n_steps: int) -> None:
        self._function(ctypes.c_int64(n_steps), ctypes.c_double(0.5))
