"""The plain definitions that the tests use, and the comparison with them.

`tests` is not a package, so its file is loaded by name.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

# Allowed difference, relative to how far the layers moved. Rounding leaves about 1e-13 and 1e-5
# in the cases here; a wrong rate, gradient or number of steps leaves far more than either.
TOLERANCE = {"float64": 1e-10, "float32": 2e-3}


def _load() -> ModuleType:
    path = Path(__file__).parents[1] / "tests" / "reference.py"
    spec = importlib.util.spec_from_file_location("pydlnet_bench_reference", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load()


def check_close(
    name: str,
    got: Sequence[NDArray[np.floating]],
    expected: Sequence[NDArray[np.floating]],
    start: Sequence[NDArray[np.floating]],
) -> None:
    """Raise unless every matrix went where the definition goes from this start."""
    for j, (mine, right, first) in enumerate(zip(got, expected, start, strict=True)):
        if mine.dtype != first.dtype:
            raise AssertionError(f"{name}: expected {first.dtype}, got {mine.dtype}")
        moved = np.linalg.norm(right - first)
        error = np.linalg.norm(mine - right)
        if not error <= TOLERANCE[str(mine.dtype)] * moved:  # NaN is wrong as well
            raise AssertionError(
                f"{name}: layer {j + 1} should have moved by {moved:.3g} and ended {error:.3g} "
                "off the reference"
            )
