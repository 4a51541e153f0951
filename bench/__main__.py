"""Print a table of time a step, every backend in one interleaved run: `python -m bench`."""

import platform
import statistics
import sys
import time

import numpy as np
import torch

import pydlnet as dln
from pydlnet import _core

from .backends import BACKENDS, Backend, check_agreement
from .cases import CASES, Case

SECONDS_A_ROUND = 0.1
# Setting up a run touches all its memory for the first time, which is no part of a step.
FEWEST_STEPS = 40
ROUNDS = 9


def steps_for(backend: Backend, seconds: float) -> int:
    """Return how many steps take about this long."""
    n_steps = 1
    while True:
        elapsed = measure(backend, n_steps)
        if elapsed > 0.2 * seconds:
            return max(FEWEST_STEPS, round(n_steps * seconds / elapsed))
        n_steps *= 4


def measure(backend: Backend, n_steps: int) -> float:
    """Return the seconds that these steps take."""
    began = time.perf_counter()
    backend.run(n_steps)
    return time.perf_counter() - began


def compare(case: Case) -> dict[str, float]:
    """Return microseconds a step for every backend: medians of interleaved rounds."""
    backends = {name: kind(case) for name, kind in BACKENDS.items()}
    for kind in BACKENDS.values():
        check_agreement(case, kind)
    steps = {name: steps_for(backend, SECONDS_A_ROUND) for name, backend in backends.items()}
    times: dict[str, list[float]] = {name: [] for name in backends}
    for _ in range(ROUNDS):
        for name, backend in backends.items():
            times[name].append(measure(backend, steps[name]) / steps[name])
    return {name: 1e6 * statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print what was measured, where, and the table."""
    print(
        f"Time of one step in microseconds, one thread, median of {ROUNDS} interleaved rounds; in "
        "brackets how many times as long as pydlnet.\n"
        f"{platform.machine()}, instruction set {_core.ISA}, Python {platform.python_version()}, "
        f"pydlnet {dln.__version__}, NumPy {np.__version__}, PyTorch {torch.__version__}\n"
    )
    print("| case |", " | ".join(BACKENDS), "|")
    print("| --- |", " | ".join("---" for _ in BACKENDS), "|")
    for case in CASES:
        times = compare(case)
        own = times["pydlnet"]
        cells = [
            f"{value:.3g}" if name == "pydlnet" else f"{value:.3g} ({value / own:.2f}x)"
            for name, value in times.items()
        ]
        print(f"| {case} |", " | ".join(cells), "|")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
