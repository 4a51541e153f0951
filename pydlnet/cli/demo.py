"""``pydlnet demo``: depth as an implicit bias towards low rank, in under a minute.

The settings are those of the released code of Arora, Cohen, Hu & Luo 2019, arXiv:1905.13655, but
for the learning rate, which is twice as large: that halves the number of steps and little else.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pydlnet as dln
from pydlnet.interruption import latest_run_heard_ctrl_c

from .picture import draw_depths
from .text import number, say

__all__ = ["run_demo"]

_SIZE, _RANK, _N_OBSERVED = 100, 5, 2000
_DEPTHS = (1, 2, 3)
_METHOD = dln.GroupRMSprop(learning_rate=2e-3, epsilon=1e-4)
_START_SCALE = 1e-3
_LOSS = 5e-7  # half the mean square error of 1e-6 at which the paper's runs stop
_QUANTITIES = ("loss", "reconstruction_error", "singular_values", "effective_rank")
_EVERY = 100
_MAX_STEPS = 200_000
_COLUMNS = (
    "depth",
    "     loss",
    "reconstruction error",
    "effective rank",
    "  steps",
    "seconds",
    "     status",
)


def run_demo(folder: Path, seed: int) -> int:
    """Complete a low-rank matrix at three depths; print a table, write datasets and a picture.

    Parameters
    ----------
    folder : Path
        Where to write; made if it does not exist.
    seed : int
        Seed of the matrix, the observed entries and the starts.

    Returns
    -------
    int
        Exit code: 0, or 130 if interrupted.

    Raises
    ------
    ValueError
        If `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output: expected a folder, but {str(folder)!r} is a file")
    folder.mkdir(parents=True, exist_ok=True)
    problem = dln.MatrixCompletion.synthetic((_SIZE, _SIZE), _RANK, _N_OBSERVED, seed)
    say(
        f"Complete a {_SIZE} x {_SIZE} matrix of rank {_RANK} from {_N_OBSERVED:,} of its "
        f"{_SIZE**2:,} entries\nwith W = W_N ... W_1, gradient descent from a start near zero, "
        "and nothing that asks for low rank.\n"
    )
    say(_line(*_COLUMNS))
    truth = np.asarray(problem.ground_truth)
    trajectories: dict[int, dln.Trajectory] = {}
    for depth in _DEPTHS:
        trajectories[depth] = trajectory = _complete(problem, depth, seed)
        trajectory.save(folder / f"depth{depth}.nc")
        say(_row(depth, trajectory))
        if trajectory.status == "interrupted" or latest_run_heard_ctrl_c():
            return 130
    say(f"\n{_verdict(truth, trajectories)}\n")
    draw_depths(trajectories, truth, folder / "demo.png")
    names = ", ".join(f"depth{depth}.nc" for depth in _DEPTHS)
    say(f"Wrote demo.png, {names} to {folder} (those of an earlier demo are replaced).")
    say(f"More numbers: pydlnet show {folder / 'depth3.nc'}")
    return 0


def _complete(problem: dln.MatrixCompletion, depth: int, seed: int) -> dln.Trajectory:
    return dln.run(
        problem,
        dln.init.gaussian([_SIZE] * (depth + 1), _START_SCALE, seed + 1),
        _METHOD,
        n_steps=_MAX_STEPS,
        record=dln.Record(_QUANTITIES, every=_EVERY),
        stop=dln.Stop(loss=_LOSS),
    )


def _row(depth: int, trajectory: dln.Trajectory) -> str:
    end = trajectory.data.isel(step=-1)
    measured = (end["loss"], end["reconstruction_error"], end["effective_rank"])
    seconds = f"{float(trajectory.data.attrs['wall_seconds']):.1f}"
    numbers = [number(float(value)) for value in measured]
    return _line(str(depth), *numbers, f"{trajectory.step:,}", seconds, trajectory.status)


def _line(*cells: str) -> str:
    """Return a line of the table, which appears as the depths are done."""
    return "  ".join(cell.rjust(len(name)) for cell, name in zip(cells, _COLUMNS, strict=True))


def _verdict(truth: NDArray[np.float64], trajectories: Mapping[int, dln.Trajectory]) -> str:
    errors = [
        float(trajectory.data["reconstruction_error"][-1]) for trajectory in trajectories.values()
    ]
    ratios = [f"{before / after:,.0f}" for before, after in pairwise(errors)]
    rank = dln.metrics.effective_rank(truth)
    claim = (
        f"Each further layer makes the error over all entries smaller: {' and then '.join(ratios)} "
        "times."
        if all(before > after for before, after in pairwise(errors))
        else "With this seed the error over all entries does not fall with every layer."
    )
    return (
        f"The matrix itself has effective rank {number(rank)} and a mean square entry of 1.\n"
        f"Every depth fits the entries it sees. {claim}"
    )
