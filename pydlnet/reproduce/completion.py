"""Matrix completion at several depths from starts of several scales."""

import itertools

import numpy as np

from ..ensembles import EnsembleTrajectory, run_ensemble
from ..problems import MatrixCompletion
from ..recording import Record, Stop, log_spaced
from . import recovery, recovery_outcomes
from .experiment import unbroken
from .recovery import LOSS, MEASURES, Ends, Grid
from .report import Part, Settings

__all__ = ["DEFAULT", "FULL", "SLOW", "part"]

DEFAULT = Grid(100, 5, (2000, 5000), (1e-3, 1e-5), n_seeds=3)
FULL = Grid(100, 5, (2000, 5000), (1e-3, 1e-4, 1e-5, 1e-6), n_seeds=3)
SLOW = Grid(100, 5, (2000, 5000), (1e-3, 1e-4, 1e-5, 1e-6), n_seeds=1, learning_rate=3e-4)


def part(settings: Settings, grid: Grid, name: str = "completion") -> Part:
    """Complete each matrix from few and from many entries, by networks and by the convex way.

    Parameters
    ----------
    settings : Settings
        Seed, threads, and where news go.
    grid : Grid
        Which networks.
    name : str
        Of the part.
    """
    problems = {
        (m, k): _problem(grid, m, (settings.seed, k))
        for m in range(len(grid.observations))
        for k in range(grid.n_seeds)
    }
    settings.say(f"{name}: the least nuclear norm of {len(problems)} problems")
    baselines = {place: recovery.baseline(problem) for place, problem in problems.items()}
    ends: Ends = {key: np.empty(grid.sizes) for key in (*MEASURES, "loss", "steps")}
    for d, depth in enumerate(grid.depths):
        settings.say(f"{name}: {len(problems) * len(grid.scales)} networks of depth {depth}")
        last = recovery.ends(_run(settings, grid, depth, problems))
        for key, values in ends.items():
            members = last[key].reshape(len(grid.observations), grid.n_seeds, len(grid.scales))
            values[:, d] = members.transpose(0, 2, 1)
    data = recovery.dataset(grid, ends, baselines)
    figure = recovery_outcomes.draw(data, "completion")
    return Part(name, data, figure, recovery_outcomes.outcomes(data, name), grid.words)


def _problem(grid: Grid, m: int, seed: tuple[int, int]) -> MatrixCompletion:
    """Return a problem; one seed has the same matrix and nested entries for every number."""
    rng = np.random.default_rng(seed)
    return MatrixCompletion.synthetic(grid.shape, grid.rank, grid.observations[m], rng)


def _run(
    settings: Settings,
    grid: Grid,
    depth: int,
    problems: dict[tuple[int, int], MatrixCompletion],
) -> EnsembleTrajectory:
    members = list(itertools.product(problems, grid.scales))
    return unbroken(
        run_ensemble(
            [problems[place] for place, _ in members],
            [recovery.start(grid, depth, scale, (settings.seed, k)) for (_, k), scale in members],
            recovery.method(grid.learning_rate),
            n_steps=grid.max_steps,
            record=Record(("loss", *MEASURES), steps=log_spaced(50)),
            stop=Stop(loss=LOSS),
            progress=False,
            threads=settings.threads,
        )
    )
